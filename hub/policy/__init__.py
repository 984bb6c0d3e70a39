"""The policy in force: bundles as published, and the compiled one decisions are made by."""
