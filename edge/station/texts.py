"""Every sentence of the staff station, in zh-CN and en, by key; refusals, findings and notes by code."""

from __future__ import annotations

__all__ = ["ACCESS", "FINDINGS", "REFUSALS", "TEXTS", "refusal_text"]

_TABLE: tuple[tuple[str, str, str], ...] = (
    ("title", "馆员工作站", "Staff station"),
    ("lead", "标签编写、转换与防盗位修复", "Encode, convert and repair tags"),
    ("language", "English", "中文"),
    ("pad", "感应区", "Pad"),
    ("offline", "感应区离线", "The pad is offline"),
    ("broken", "与本机的连接中断，正在重连", "The connection to this edge is lost; trying again"),
    ("encode", "编写标签", "Encode"),
    ("item", "条码号", "Item number"),
    (
        "item_hint",
        "扫描或输入后按回车；外馆写作 馆号:条码号",
        "Scan, or type and press Enter; a partner's is LIBRARY:NUMBER",
    ),
    ("format", "格式", "Format"),
    ("site_format", "本馆格式", "This library's format"),
    ("parts", "总件数", "Parts"),
    ("part", "第几件", "Part"),
    ("replace", "覆盖已编写的标签", "Overwrite a tag that names another item"),
    ("new", "本地尚无此条码号也编写", "Also a number that is not known here yet"),
    ("done", "已编写并核对", "Written and verified"),
    ("stack", "感应区上的标签", "Tags on the pad"),
    ("empty", "感应区上没有标签", "Nothing lies on the pad"),
    ("kind", "识别为", "Recognised as"),
    ("title_of", "题名", "Title"),
    ("owner", "所属馆", "Owner"),
    ("as_written", "标签所写", "as written"),
    ("security", "防盗", "Security"),
    ("secured", "在馆（报警）", "In stock (alarms)"),
    ("unsecured", "已借出（不报警）", "On loan (silent)"),
    ("unclear", "不明", "Unclear"),
    ("findings", "发现", "Findings"),
    ("actions", "操作", "Actions"),
    ("choose", "写此标签", "Write this one"),
    ("convert", "转换格式", "Convert"),
    ("confirm_lost", "以下内容无法保留，仍要转换吗？", "This cannot be kept. Convert all the same?"),
    ("choose_owner", "指定所属馆", "Choose the owner"),
    ("repair", "按账目修复防盗位", "Repair security by the ledger"),
    ("repaired", "已修复", "Repaired"),
    ("skipped", "账目不明，未改动", "Not known to the ledger, left alone"),
    ("waiting", "待处理标签（放回任一感应区即自动修复）", "Tags that wait (put them on any pad)"),
    ("notes", "待查看", "To look at"),
    ("seen", "已处理", "Done"),
    ("drop", "还书箱", "Book drop"),
    ("taken", "已收", "Taken"),
    ("empty_drop", "已清箱", "The drop was emptied"),
    ("exception", "异常", "Exceptions"),
    ("dest", "送往", "Goes to"),
    ("sign_in", "登录", "Sign in"),
    ("token", "馆员口令", "Staff token"),
    ("token_hint", "edge.toml 中 [trace] 的 token", "The token of [trace] in edge.toml"),
)

TEXTS: dict[str, dict[str, str]] = {
    "zh": {key: zh for key, zh, _ in _TABLE},
    "en": {key: en for key, _, en in _TABLE},
}
"""Sentences by language, then key."""

_FINDINGS: tuple[tuple[str, str, str], ...] = (
    ("OK", "文献", "Item"),
    ("BLANK", "空白标签", "Blank tag"),
    ("FOREIGN", "非联盟标签", "Not of the consortium"),
    ("DAMAGED", "标签损坏", "Damaged tag"),
    ("READER_CARD", "读者卡", "A reader's card"),
    ("SHELF_LABEL", "架位标签", "Shelf label"),
    ("EQUIPMENT", "设备标签", "Equipment"),
    ("ASK_OWNER", "请指定所属馆", "Whose is it?"),
    ("NOT_IN_REPLICA", "本馆数据中无此条码号", "Not among this library's items"),
    ("OWNER_SUSPECT", "所属馆可能有误：本馆有此条码号", "The owner may be wrong: this library has that number"),
    ("SECURED_ON_LOAN", "已借出，但标签仍报警", "On loan, but the tag alarms"),
    ("UNSECURED_IN_STOCK", "在馆，但标签不报警", "In stock, but the tag is silent"),
    ("SECURITY_UNCLEAR", "防盗位不是本馆设定的值", "The security state is neither of this site's"),
    ("PARTS_MISSING", "附件不全", "Parts are missing"),
    ("DUPLICATE_TAG", "同一件有多个标签", "Another tag says the same"),
    ("UID_SAYS_OTHERWISE", "芯片登记为另一文献", "The chip is known as another item"),
    ("TAG_NOT_SWITCHED", "防盗位未写成", "The tag did not take its state"),
    ("LEFT_ON_PAD", "读者未取走，借出已撤销", "Left on the pad: the loan was undone"),
    ("DROP_FAILS", "还书箱出错，正在重试", "The drop fails; it is trying again"),
    ("ITEM_INCOMPLETE", "附件不全", "Parts are missing"),
    ("RETURN_SET_ASIDE", "已收存待核", "Set aside for checking"),
    ("OUT_OF_SERVICE", "未能记录，尚未归还", "Could not be recorded, not returned yet"),
)

FINDINGS: dict[str, dict[str, str]] = {
    "zh": {code: zh for code, zh, _ in _FINDINGS},
    "en": {code: en for code, _, en in _FINDINGS},
}
"""What is said of a tag, a drop's row or a note, by language, then code."""

REFUSALS: dict[str, tuple[int, str, str]] = {
    "PAD_UNKNOWN": (404, "没有这个感应区", "There is no such pad"),
    "PAD_OFFLINE": (503, "感应区离线", "The pad is offline"),
    "PAD_CANNOT_ENCODE": (409, "该感应区不能编写标签", "This pad cannot write whole tags"),
    "NO_TAG": (409, "感应区上没有可编写的标签，请放回", "The tag is not on the pad, put it back"),
    "AMBIGUOUS_TAG": (409, "感应区上有多个标签，只放一件或点选", "Several tags lie there: leave one, or choose it"),
    "ITEM_NUMBER_WRONG": (422, "条码号无效", "This is no item number"),
    "ITEM_NOT_IN_REPLICA": (409, "本地无此条码号，请核对", "This number is not known here, please check it"),
    "OWNER_UNKNOWN": (422, "没有这个成员馆", "There is no such member library"),
    "OWNER_WRITTEN": (
        409,
        "标签已写明所属馆，如有误请重新编写",
        "The tag names its owner; encode it anew where that is wrong",
    ),
    "NAMES_OTHER_ITEM": (409, "此标签已属另一文献", "This tag names another item"),
    "READER_CARD": (409, "这是读者卡，不可编写", "This is a reader's card and is never written"),
    "NO_ITEM": (409, "此标签不是文献", "This tag names no item"),
    "FORMAT_CANNOT_HOLD": (409, "该格式或芯片放不下", "The format or the chip cannot hold it"),
    "LOST_FIELDS": (409, "部分内容无法保留", "Some of it cannot be kept"),
    "TAG_NOT_WRITTEN": (502, "未写成，请放回重试", "It was not written: put the tag back and try again"),
    "LOCKED": (409, "标签已锁定", "The tag is locked"),
    "NOTHING_KEPT": (503, "本机未能保存", "This edge could not keep it"),
    "NO_SUCH_NOTE": (404, "没有这条记录", "There is no such note"),
    "NO_DROP": (404, "没有这个还书箱", "There is no such drop"),
    "RATE_LIMITED": (503, "请稍候", "Please wait"),
    "ITEM_BUSY": (409, "此文献正在借还，请稍后再试", "The item is being lent or returned: try again in a moment"),
}
"""Refusals: HTTP status, zh, en."""


ACCESS: dict[str, dict[str, str]] = {
    "zh": {
        "LOOPBACK_ONLY": "工作站只能在本机用本机地址打开；要从别处使用，请设定 [trace] token_file",
        "TOKEN_NOT_CONFIGURED": "边缘端对外监听，未设定 [trace] token_file 时不提供工作站",
        "TOKEN_NEEDED": "请先用馆员口令登录",
        "TOKEN_WRONG": "口令不对",
        "RATE_LIMITED": "请稍后再试",
        "FOREIGN_ORIGIN": "请求来自别的网站",
    },
    "en": {
        "LOOPBACK_ONLY": "The station is for this machine at its own address; set [trace] token_file to use it from elsewhere.",
        "TOKEN_NOT_CONFIGURED": "This edge listens beyond this machine; set [trace] token_file to have a station.",
        "TOKEN_NEEDED": "Sign in with the token of [trace] token_file, or send it as Authorization: Bearer.",
        "TOKEN_WRONG": "This is not the token.",
        "RATE_LIMITED": "Try again a little later.",
        "FOREIGN_ORIGIN": "The request comes from another site.",
    },
}  # fmt: skip
"""Why the station is not shown, by language and code."""


def refusal_text(code: str, lang: str) -> str:
    """The sentence for a refusal's code; an unknown one shows itself."""
    found = REFUSALS.get(code)
    if found is not None:
        return found[2] if lang == "en" else found[1]
    return ACCESS["en" if lang == "en" else "zh"].get(code, code)
