"""Every sentence of the kiosk page, in zh-CN and en, by key. Reasons come from ``consortium.reasons``."""

from __future__ import annotations

_TABLE: tuple[tuple[str, str, str], ...] = (
    ("title", "自助借还", "Self-service"),
    ("borrow", "借书", "Borrow"),
    ("borrow_hint", "输入读者证号，把书放在感应区", "Sign in, then put your books on the pad"),
    ("return", "还书", "Return"),
    ("return_hint", "无需登录，联盟各馆的书都可以还", "No sign-in; items of every member library"),
    ("language", "English", "中文"),
    ("number", "读者证号", "Reader number"),
    ("number_hint", "外馆读者：馆号:证号", "Partner reader: LIBRARY:NUMBER"),
    ("pin", "密码", "PIN"),
    ("show_hint", "也可以直接刷卡或扫描证号", "Or show your card, or scan your number"),
    ("shown_pin", "已读取，请输入密码", "Read. Now your PIN, please"),
    ("sign_in", "登录", "Sign in"),
    ("back", "返回", "Back"),
    ("erase", "删除", "Delete"),
    ("letters", "字母", "ABC"),
    ("digits", "数字", "123"),
    ("on_pad", "感应区上的文献", "Items on the pad"),
    ("pad_empty", "请把书平放在感应区", "Put your items flat on the pad"),
    ("count_one", "件", "item"),
    ("count", "件", "items"),
    ("borrow_now", "全部借出", "Borrow these"),
    ("return_now", "全部归还", "Return these"),
    ("done", "完成", "Done"),
    ("print", "打印凭条", "Print receipt"),
    ("again", "继续", "More items"),
    ("working", "正在办理，请勿取走", "Working, please leave the items"),
    ("loans", "在借", "On loan"),
    ("home_library", "所属馆", "Your library"),
    ("due", "应还日期", "Due"),
    ("dest", "送往", "Goes to"),
    ("can_borrow", "可借", "May be borrowed"),
    ("ask_hub", "借出时核定", "Checked when you borrow"),
    ("borrowed_title", "办理结果", "Result"),
    ("borrowed_ok", "借出成功", "Borrowed"),
    ("put_back", "请放回感应区", "Put it back on the pad"),
    ("put_back_hint", "标签尚未处理好，请把下列文献放回", "The tag is not finished; put these back on the pad"),
    ("foreign", "不是联盟文献的标签", "This tag is not an item of the consortium"),
    ("blank", "空白标签", "A blank tag"),
    ("damaged", "标签损坏，请交服务台", "A damaged tag: please hand it to the desk"),
    ("ask_owner", "无法确认所属馆，请交服务台", "Whose item this is cannot be told: please hand it to the desk"),
    ("shelf_label", "架位标签", "A shelf label"),
    ("equipment", "设备标签", "A piece of equipment"),
    ("parts", "已放", "On the pad"),
    ("of_parts", "共", "of"),
    ("parts_unit", "件", "parts"),
    ("unknown_title", "（无题名）", "(no title)"),
    ("offline", "网络中断", "Offline"),
    (
        "offline_hint",
        "仍可还书；本馆读者仍可借本馆图书，外馆业务请到服务台",
        "Returns still work; this library's readers can still borrow its items. For partners, please see the desk",
    ),
    ("pad_offline", "感应区暂停服务", "The pad is out of service"),
    ("pad_offline_hint", "请到服务台办理借还", "Please borrow and return at the desk"),
    ("still_there", "还需要时间吗？", "Still there?"),
    ("still_there_hint", "即将自动退出", "You will be signed out soon"),
    ("stay", "继续办理", "Continue"),
    ("sign_out", "退出", "Sign out"),
    ("no_answer", "暂停服务，请到服务台", "Out of service, please see the desk"),
)

_OWN: dict[str, tuple[str, str]] = {
    "SESSION_ENDED": ("已自动退出，请重新登录", "Signed out, please sign in again"),
    "PAD_OFFLINE": ("感应区暂停服务，请到服务台", "The pad is out of service, please see the desk"),
    "PAD_EMPTY": ("请把书平放在感应区", "Put your items flat on the pad"),
    "SHOW_AGAIN": ("请重新出示读者卡", "Please show the card again"),
    "NUMBER_NEEDED": ("请输入读者证号和密码", "Please type your reader number and PIN"),
    "NO_READER": ("请输入读者证号", "Please enter your reader number"),
    "PUT_BACK": ("请放回感应区", "Put it back on the pad"),
    "ITEM_INCOMPLETE": (
        "附件不全，请把全部附件放在感应区",
        "Parts are missing: please put all parts on the pad",
    ),
}

TEXTS: dict[str, dict[str, str]] = {
    "zh": {key: zh for key, zh, _ in _TABLE},
    "en": {key: en for key, _, en in _TABLE},
}
"""Sentences by language, then key."""


def own_text(code: str, lang: str) -> str | None:
    """The sentence for a code that only the kiosk has, None for every other."""
    pair = _OWN.get(code)
    return None if pair is None else pair[1 if lang == "en" else 0]
