"""Every sentence of the trace pages, in zh-CN and en, by key; the Chinese names of the messages; what the notes mean."""

from __future__ import annotations

_TABLE: tuple[tuple[str, str, str], ...] = (
    ("title", "自助机通信记录", "Kiosk trace"),
    ("lead", "SIP2 · 密码已删除，读者证号与姓名已遮盖", "SIP2 · PINs are cut out, reader numbers and names masked"),
    ("language", "English", "中文"),
    ("kiosk", "设备", "Kiosk"),
    ("state", "状态", "State"),
    ("connected", "已连接", "Connected"),
    ("not_connected", "未连接", "Not connected"),
    ("no_login", "未登录", "No login"),
    ("dialect", "通信方式", "Dialect"),
    ("terminator", "结束符", "Terminator"),
    ("encoding", "编码", "Encoding"),
    ("checksum", "校验", "Error detection"),
    ("delimiter", "分隔符", "Delimiter"),
    ("quirks", "特殊习惯", "Quirks"),
    ("configured", "已设定", "configured"),
    ("learned", "自动识别", "learned"),
    ("assumed", "暂定", "assumed"),
    ("on", "有", "on"),
    ("off", "无", "off"),
    ("bytes", "按字节", "over bytes"),
    ("code_points", "按字符", "over characters"),
    ("version", "版本", "Version"),
    ("since", "登录时间", "Since"),
    ("last_message", "最近消息", "Last message"),
    ("messages", "消息数", "Messages"),
    ("odd", "异常", "odd"),
    ("none_yet", "还没有任何自助机连接过", "No kiosk has connected yet"),
    ("back", "返回列表", "All kiosks"),
    ("pause", "暂停", "Pause"),
    ("resume", "继续", "Resume"),
    ("waiting", "条待显示", "waiting"),
    ("filter", "筛选", "Filter"),
    ("filter_hint", "消息号、条码号或文字", "Message code, item number or text"),
    ("only_odd", "仅看异常", "Odd ones only"),
    ("download", "下载给厂商", "Download for support"),
    ("time", "时间", "Time"),
    ("direction", "方向", "Direction"),
    ("in", "设备 → 系统", "kiosk → system"),
    ("out", "系统 → 设备", "system → kiosk"),
    ("message", "消息", "Message"),
    ("text", "内容", "Text"),
    ("took", "应答用时", "Answer took"),
    ("lines", "通信内容", "Lines"),
    ("left_out", "条因太快而未显示", "lines were too fast to be shown"),
    ("broken", "连接中断，正在重试", "The connection was lost, trying again"),
    ("live", "实时", "Live"),
    ("paused", "已暂停", "Paused"),
    ("token", "访问令牌", "Token"),
    ("token_hint", "见边缘端配置 [trace] token_file", "See [trace] token_file in the edge's configuration"),
    ("sign_in", "登录", "Sign in"),
)

TEXTS: dict[str, dict[str, str]] = {
    "zh": {key: zh for key, zh, _ in _TABLE},
    "en": {key: en for key, _, en in _TABLE},
}
"""Sentences by language, then key."""

TITLES_ZH: dict[str, str] = {
    "01": "停用读者", "09": "还书", "10": "还书应答", "11": "借书", "12": "借书应答", "15": "预约", "16": "预约应答",
    "17": "文献信息", "18": "文献信息应答", "19": "文献状态更新", "20": "文献状态更新应答", "23": "读者状态", "24": "读者状态应答",
    "25": "启用读者", "26": "启用读者应答", "29": "续借", "30": "续借应答", "35": "结束读者会话", "36": "结束会话应答",
    "37": "缴费", "38": "缴费应答", "63": "读者信息", "64": "读者信息应答", "65": "全部续借", "66": "全部续借应答",
    "93": "登录", "94": "登录应答", "96": "请设备重发", "97": "请系统重发", "98": "系统状态", "99": "设备状态", "??": "不是消息",
}  # fmt: skip
"""The messages' names in Chinese; the English ones are the standard's."""

NOTES: dict[str, dict[str, str]] = {
    "zh": {
        "bad_checksum": "校验错误，未执行", "duplicate": "重复请求，原样再答", "resend": "按要求重发上一条", "unreadable": "无法解析",
        "too_long": "消息过长", "not_logged_in": "尚未登录", "not_a_request": "不是请求，忽略", "unknown_message": "未知消息，忽略",
        "ignored": "忽略", "fixed_part": "固定部分残缺", "field": "字段没有标识符", "not_a_message": "不是 SIP2 消息", "empty": "空行",
        "replayed": "此前已办理，按首次结果回答", "timeout": "未能及时办理", "turned_away": "连接数已满", "right": "正确校验",
        "late": "应答时连接已断",
    },
    "en": {
        "bad_checksum": "bad checksum, not executed", "duplicate": "repeat, answered with the same bytes",
        "resend": "sent again on request",
        "unreadable": "not readable", "too_long": "too long", "not_logged_in": "not logged in", "not_a_request": "no request, ignored",
        "unknown_message": "unknown message, ignored", "ignored": "ignored", "fixed_part": "fixed part cut or shifted",
        "field": "a field without identifier", "not_a_message": "no SIP2 message", "empty": "empty line",
        "replayed": "done before, answered as the first time", "timeout": "not done in time",
        "turned_away": "no room for a further connection",
        "right": "right", "late": "its line had gone",
    },
}  # fmt: skip
"""What a stable note means, by language; a note that is not here is shown as it is."""

REFUSALS: dict[str, dict[str, str]] = {
    "zh": {
        "LOOPBACK_ONLY": "通信记录只能在本机用本机地址查看；要从别处查看，请设定 [trace] token_file",
        "TOKEN_NOT_CONFIGURED": "边缘端对外监听，未设定 [trace] token_file 时不提供通信记录",
        "TOKEN_NEEDED": "请先用访问令牌登录",
        "TOKEN_WRONG": "令牌不对",
        "RATE_LIMITED": "请稍后再试",
        "FOREIGN_ORIGIN": "请求来自别的网站",
    },
    "en": {
        "LOOPBACK_ONLY": "The trace is for this machine at its own address; set [trace] token_file to see it from elsewhere.",
        "TOKEN_NOT_CONFIGURED": "This edge listens beyond this machine; set [trace] token_file to have a trace.",
        "TOKEN_NEEDED": "Sign in with the token of [trace] token_file, or send it as Authorization: Bearer.",
        "TOKEN_WRONG": "This is not the token.",
        "RATE_LIMITED": "Try again a little later.",
        "FOREIGN_ORIGIN": "The request comes from another site.",
    },
}  # fmt: skip
"""Why a trace is not shown, by language and code."""
