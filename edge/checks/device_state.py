"""A device is offline or degraded."""

from __future__ import annotations

from edge.checks.base import Issue, Vitals

_WHAT = {
    "DRIVER_FAILED": ("驱动程序异常，正在重启", "Its driver failed and is being restarted."),
    "UNKNOWN_DRIVER": ("没有此类设备的驱动：检查 kind", "There is no driver of this kind: check `kind`."),
    "NOISY_LINE": ("线路干扰：检查线缆与接地", "The line is noisy: check cable and earth."),
    "COMMISSIONING": ("设备仍在安装模式：写入密钥", "The device is still in install mode: give it its key."),
}
_OFF = ("设备无应答：检查电源与线缆", "The device does not answer: check power and cable.")
_ODD = ("设备降级运行", "The device runs degraded.")


class DeviceStates:
    """One issue per device that is not online; kiosks that are simply not logged in are no issue."""

    name = "devices"

    def find(self, vitals: Vitals) -> list[Issue]:
        """One issue per device in trouble, in order of id."""
        found = []
        for device in sorted(vitals.devices, key=lambda d: d.id):
            if device.state == "online" or device.kind == "kiosk":
                continue
            offline = device.state == "offline"
            zh, en = _WHAT.get(device.reason_code, _OFF if offline else _ODD)
            found.append(
                Issue(
                    "DEVICE_OFFLINE" if offline else "DEVICE_DEGRADED",
                    f"device:{device.id}",
                    "error" if offline else "warning",
                    {"zh": zh, "en": en},
                    {"reason_code": device.reason_code, "since": device.since},
                )
            )
        return found
