"""Every sentence of the gate page, in zh-CN and en, by key."""

from __future__ import annotations

from collections.abc import Mapping

_TABLE: tuple[tuple[str, str, str], ...] = (
    ("title", "门口", "Gates"),
    ("lead", "安全门、闸机与人数", "Security gates, turnstiles, people"),
    ("language", "English", "中文"),
    ("sign_in", "登录", "Sign in"),
    ("token", "访问令牌", "Token"),
    ("token_hint", "见边缘端配置 [trace] token_file", "See [trace] token_file in the edge's configuration"),
    ("notes", "报警与提示", "Alarms and notes"),
    ("no_notes", "还没有报警", "Nothing yet"),
    ("devices", "设备", "Devices"),
    ("time", "时间", "Time"),
    ("gate", "设备", "Device"),
    ("what", "情况", "What"),
    ("item", "文献", "Item"),
    ("antenna", "天线", "antenna"),
    ("sounded", "已鸣响", "sounded"),
    ("silent", "未鸣响", "silent"),
    ("untitled", "（无题名）", "(no title)"),
    ("state", "状态", "State"),
    ("counts", "今日人数", "People today"),
    ("came", "进", "in"),
    ("left", "出", "out"),
    ("drift", "与闸机相差", "differs from the gates by"),
    ("missing_min", "本时段缺少分钟", "minutes missing now"),
    ("tailgated", "尾随", "tailgated"),
    ("unopened", "未开门通过", "passed unopened"),
    ("not_taken", "开门未过", "opened, nobody came"),
    ("health", "详情", "Details"),
    ("actions", "操作", "Actions"),
    ("alarm_on", "打开报警", "Alarm on"),
    ("alarm_off", "关闭报警", "Alarm off"),
    ("reset_counter", "人数清零", "Reset counter"),
    ("restart", "重新启动设备", "Restart device"),
    ("done", "已执行", "Done"),
    ("refused", "未执行", "Not done"),
    ("broken", "连接中断，正在重试", "The connection was lost, trying again"),
    ("live", "实时", "Live"),
    ("online", "正常", "online"),
    ("degraded", "降级", "degraded"),
    ("offline", "离线", "offline"),
)

TEXTS: dict[str, dict[str, str]] = {
    "zh": {key: zh for key, zh, _ in _TABLE},
    "en": {key: en for key, _, en in _TABLE},
}
"""Language → key → sentence."""

_CODES: Mapping[str, tuple[str, str]] = {
    "NOT_LENT": ("未办理借阅", "Not borrowed"),
    "UNKNOWN": ("无法核实，请查看", "Could not be checked, please look"),
    "NOT_READABLE": ("标签未读出，请查看", "The tag could not be read, please look"),
    "NOT_SECURED": ("在馆文献未上防盗", "In stock, but its security is off"),
    "SECURED_LOAN": ("已借出，防盗需修复", "On loan, its security needs repair"),
    "FOREIGN": ("非联盟文献", "Not an item of the consortium"),
    "FORCED_OPEN": ("门被强行打开", "Door forced open"),
    "HELD_OPEN": ("门未关上", "Door held open"),
    "FIRE": ("消防联动", "Fire"),
    "PASSED_TWICE": ("一次开门多人通过", "Several passed on one opening"),
    "DEVICE": ("设备报警", "Alarm of the device"),
}
"""Code → (zh-CN, en)."""

CODES: dict[str, dict[str, str]] = {
    "zh": {code: zh for code, (zh, _) in _CODES.items()},
    "en": {code: en for code, (_, en) in _CODES.items()},
}

_ACCESS: Mapping[str, tuple[str, str]] = {
    "LOOPBACK_ONLY": ("仅限本机查看", "Only from this machine"),
    "TOKEN_NEEDED": ("请先登录", "Please sign in"),
    "TOKEN_NOT_CONFIGURED": ("未设置访问令牌", "No token is configured"),
    "TOKEN_WRONG": ("令牌不正确", "The token is wrong"),
    "RATE_LIMITED": ("尝试过多，请稍候", "Too many attempts, please wait"),
    "FOREIGN_ORIGIN": ("请求来自其他网站", "The request came from another site"),
}

ACCESS: dict[str, dict[str, str]] = {
    "zh": {code: zh for code, (zh, _) in _ACCESS.items()},
    "en": {code: en for code, (_, en) in _ACCESS.items()},
}
"""Why the page is not shown."""
