"""What the console says, in zh-CN and en; one table, so that nothing is said in one language only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from consortium.conflicts import KINDS
from consortium.reasons import REASONS

__all__ = ["LANGS", "WORDS", "browser_words", "pick", "words"]

LANGS: Final = ("zh", "en")

WORDS: Final[dict[str, tuple[str, str]]] = {
    "title": ("通借 · 馆员控制台", "Tongjie · staff console"),
    "brand": ("通借", "Tongjie"),
    "skip": ("跳到正文", "Skip to content"),
    "lang.other": ("English", "中文"),
    "nav.overview": ("总览", "Overview"),
    "nav.loans": ("借阅", "Loans"),
    "nav.transits": ("调拨", "Transits"),
    "nav.devices": ("设备", "Devices"),
    "nav.refusals": ("拒绝", "Refusals"),
    "nav.conflicts": ("冲突", "Conflicts"),
    "nav.label": ("页面", "Pages"),
    "logout": ("退出", "Sign out"),
    "whole": ("全联盟", "Whole consortium"),
    # sign-in
    "login.title": ("馆员登录", "Staff sign-in"),
    "login.username": ("用户名", "Username"),
    "login.password": ("密码", "Password"),
    "login.submit": ("登录", "Sign in"),
    "login.wrong": ("用户名或密码不对,请重试。", "Username or password is wrong; try again."),
    "login.wait": ("失败次数过多,请在 {s} 秒后再试。", "Too many failures; try again in {s} seconds."),
    "login.foreign": ("请求来自别处,请在本页登录。", "This came from another site; sign in on this page."),
    # overview
    "branches": ("分馆", "Branches"),
    "inside": ("在馆", "Inside"),
    "of": ("限", "of"),
    "partners": ("联盟读者", "partner readers"),
    "inside.stale": ("断开前所知", "as last known"),
    "contact.online": ("在线", "online"),
    "contact.offline": ("离线", "offline"),
    "contact.silent": ("失联", "silent"),
    "contact.never": ("未接入", "never connected"),
    "since": ("自", "since"),
    "last.seen": ("最后收到", "last seen"),
    "closed.now": ("闭馆时段", "closed now"),
    "devices": ("设备", "Devices"),
    "state.online": ("在线", "online"),
    "state.degraded": ("降级", "degraded"),
    "state.offline": ("离线", "offline"),
    "state.unknown": ("未知", "unknown"),
    "state.reported": ("最后报告", "last reported"),
    "count.loans": ("在借", "Open loans"),
    "count.overdue": ("其中逾期 {n}", "{n} overdue"),
    "count.transits": ("在途", "Open transits"),
    "count.conflicts": ("待处理冲突", "Open conflicts"),
    "count.refusals": ("近一小时拒绝", "Refused, last hour"),
    "feed": ("实时动态", "Live feed"),
    "feed.pause": ("暂停", "Pause"),
    "feed.resume": ("继续", "Resume"),
    "feed.held": ("已暂停,积压 {n} 条", "Paused, {n} waiting"),
    "feed.live": ("实时", "live"),
    "feed.lost": ("连接中断,正在重连", "connection lost, reconnecting"),
    "feed.late": ("迟到 {t}", "arrived {t} late"),
    "feed.resync": ("此处有遗漏,已从最新继续", "rows were skipped here; continuing with the newest"),
    "feed.noscript": ("实时动态需要浏览器脚本。", "The live feed needs scripts in the browser."),
    "feed.empty": (
        "还没有动态。读者刷卡、借书或还书后会立即出现在这里。",
        "Nothing yet. Taps, loans and returns appear here the moment they happen.",
    ),
    "refusals.recent": ("最近的拒绝", "Recent refusals"),
    "all": ("全部", "All"),
    "all.of": ("查看全部", "Show all"),
    "reader.of": ("{library} 读者", "reader of {library}"),
    "reader.unknown": ("未识别的卡", "unknown card"),
    "now": ("截至", "As of"),
    "zone": ("时间按 {zone} 显示", "Times are shown in {zone}"),
    # tables
    "col.time": ("时间", "Time"),
    "col.item": ("文献", "Item"),
    "col.lent": ("借出地点", "Lent at"),
    "col.home": ("读者所属馆", "Reader's library"),
    "col.due": ("应还", "Due"),
    "col.notes": ("备注", "Notes"),
    "col.from": ("从", "From"),
    "col.to": ("到", "To"),
    "col.reason": ("原因", "Reason"),
    "col.state": ("状态", "State"),
    "col.since": ("自", "Since"),
    "col.seen": ("最后收到", "Last seen"),
    "col.device": ("设备", "Device"),
    "col.kind": ("类型", "Kind"),
    "col.branch": ("分馆", "Branch"),
    "col.facts": ("详情", "Details"),
    "col.action": ("事项", "Action"),
    "col.what": ("说明", "What happened"),
    "col.events": ("相关事件", "Events"),
    "col.settles": ("由谁处理", "Who settles it"),
    "col.otherwise": ("到期默认", "If nobody does, from"),
    "col.ended": ("结束", "Ended"),
    "overdue": ("逾期", "overdue"),
    "open": ("未结", "Open"),
    "ended": ("已结", "Ended"),
    "offline.loan": ("离线借出", "lent offline"),
    "renewed": ("续借 {n} 次", "renewed {n}×"),
    "filter": ("筛选", "Filter"),
    "filter.apply": ("应用", "Apply"),
    "filter.clear": ("清除", "Clear"),
    "page.next": ("下一页", "Next page"),
    "page.first": ("回到首页", "First page"),
    "rows": ("本页 {n} 条", "{n} on this page"),
    "total": ("共 {n} 条", "{n} in all"),
    "unknown.title": ("题名未知", "Title not known"),
    # empty states
    "empty.branches": (
        "策略包里还没有分馆。请用 tongjie hub 载入联盟文件。",
        "The policy bundle names no branch yet. Load a consortium file into the hub.",
    ),
    "empty.devices": (
        "还没有设备报到。在分馆启动 tongjie edge,设备会自动出现。",
        "No device has reported yet. Start tongjie edge at a branch; its devices appear by themselves.",
    ),
    "empty.loans": (
        "没有符合条件的借阅。自助机确认借出后会出现在这里。",
        "No loan fits. A loan appears here once a kiosk has confirmed it.",
    ),
    "empty.transits": (
        "没有符合条件的调拨。读者异地还书后,在途文献会出现在这里。",
        "No transit fits. When a reader returns an item away from home, its journey appears here.",
    ),
    "empty.refusals": (
        "没有符合条件的拒绝记录。",
        "No refusal fits. Widen the filter if you expected one.",
    ),
    "empty.conflicts": (
        "没有冲突,所有事实彼此一致。",
        "No conflicts: all facts agree with one another.",
    ),
    # vocabulary
    "function.enter": ("入馆", "enter"),
    "function.borrow": ("借书", "borrow"),
    "function.renew": ("续借", "renew"),
    "function.return": ("还书", "return"),
    "outcome.DENY": ("拒绝", "denied"),
    "outcome.REFER": ("转服务台", "sent to desk"),
    "outcome.ALLOW": ("通过", "allowed"),
    "mode.OFFLINE": ("离线判定", "decided offline"),
    "mode.STALE": ("数据偏旧", "on older data"),
    "source.hub": ("中心判定", "decided by hub"),
    "source.edge": ("边缘判定", "decided at branch"),
    "transit.REQUESTED": ("待发出", "to be sent"),
    "transit.BAGGED": ("已装袋", "bagged"),
    "transit.SENT": ("途中", "on the way"),
    "transit.AT_HUB": ("在中转点", "at the sorting hub"),
    "transit.ARRIVED": ("已到达,待收", "arrived, not yet received"),
    "transit.MISROUTED": ("走错路线", "misrouted"),
    "transit.RECEIVED": ("已收到", "received"),
    "transit.CANCELLED": ("已取消", "cancelled"),
    "transit.SUPERSEDED": ("途中被借走", "borrowed on the way"),
    "transit.LOST": ("丢失", "lost"),
    "why.HOME": ("送回所属馆", "back to its owner"),
    "why.HOLD": ("预约", "for a hold"),
    "why.FLOAT": ("浮动", "floating"),
    "why.DAMAGED": ("破损", "damaged"),
    "why.MANUAL": ("人工", "by staff"),
    "end.RETURN": ("归还", "returned"),
    "end.IMPLIED_RETURN": ("推定归还", "return implied"),
    "end.LOST_PAID": ("遗失已赔", "lost and paid for"),
    "end.CLAIMED_RETURNED": ("声明已还,已找到", "claimed returned, and found"),
    "end.STAFF": ("馆员结束", "ended by staff"),
    "conflict.OPEN": ("待处理", "open"),
    "conflict.ACK": ("处理中", "taken up"),
    "conflict.RESOLVED": ("已解决", "resolved"),
    **{f"cf.{kind.code}": (kind.zh, kind.en) for kind in KINDS.values()},
    "settle.KEEP_LOAN": ("保留借阅", "the loan stays"),
    "settle.KEEP_DUE": ("保留已承诺的应还日期", "the promised due date stays"),
    "settle.END_WITHOUT_CHARGE": ("结束前一借阅,不收费", "the first loan ends without a charge"),
    "settle.KEEP_LAST_PLACE": ("以最后位置为准", "it is where it was seen last"),
    "settle.ACCEPT": ("接受", "accepted"),
    "settle.NOT_LIABLE": ("读者不承担责任", "the reader is not liable"),
    "settle.WAIT_FOR_CARD": ("等待该卡登记", "waits for the card to be registered"),
    "settle.SET_ASIDE": ("存放待核", "set aside"),
    "settle.KEEP_ORDER": ("按现有先后", "the order stays"),
    "settle.KEEP_FIRST": ("以先到者为准", "the first one stays"),
    "settle.facts": ("后到的事实已说明", "later facts explained it"),
    "settle.hub": ("联盟中心", "the consortium's hub"),
    "device.gate": ("安全门", "security gate"),
    "device.relay": ("闸机（继电器）", "turnstile (relay)"),
    "device.zkteco": ("门禁控制器", "door controller"),
    "device.pcsc": ("读卡器", "cardreader (PC/SC)"),
    "device.cardserial": ("读卡器（串口）", "cardreader (serial)"),
    "device.wiegand485": ("读卡器（韦根）", "cardreader (Wiegand)"),
    "device.barcode": ("条码扫描器", "barcode scanner"),
    "device.printer": ("凭条打印机", "receipt printer"),
    "device.3m": ("RFID 读写垫", "RFID pad"),
    "device.uhfreader18": ("超高频读写器", "UHF reader"),
    "device.llrp": ("超高频读写器", "UHF reader (LLRP)"),
    "device.osdp": ("闸机读卡器", "gate cardreader"),
    "device.cardreader": ("读卡器", "cardreader"),
    "device.pad": ("RFID 读写垫", "RFID pad"),
    "device.feig": ("RFID 读写垫", "RFID pad"),
    "device.kiosk": ("自助借还机", "kiosk"),
    "device.sip2": ("自助借还机", "kiosk (SIP2)"),
    "device.bin": ("还书箱", "return bin"),
    "device.ils": ("图书馆系统", "library system (ILS)"),
    "event.CHECKOUT": ("借出", "borrowed"),
    "event.RENEW": ("续借", "renewed"),
    "event.RETURN": ("归还", "returned"),
    "event.RECEIVE": ("收到", "received"),
    "event.TRANSIT_SENT": ("发出", "sent"),
    "event.ENTRY": ("入馆", "entered"),
    "event.EXIT": ("离馆", "left"),
    "event.REFUSED": ("拒绝", "refused"),
    "event.TAG_WRITTEN": ("标签", "tag written"),
    "event.DEVICE": ("设备", "device"),
    "event.GATE_ALARM": ("安全门报警", "gate alarm"),
    "event.PEOPLE_COUNTED": ("人数统计", "people counted"),
    "alarm.NOT_LENT": ("未办理借阅", "not borrowed"),
    "alarm.UNKNOWN": ("无法核实", "could not be checked"),
    "alarm.NOT_READABLE": ("标签未读出", "tag not readable"),
    "alarm.NOT_SECURED": ("在馆文献未上防盗", "in stock, security off"),
    "alarm.SECURED_LOAN": ("已借出，防盗需修复", "on loan, security needs repair"),
    "alarm.FOREIGN": ("非联盟文献", "not an item of the consortium"),
    "alarm.FORCED_OPEN": ("门被强行打开", "door forced open"),
    "alarm.HELD_OPEN": ("门未关上", "door held open"),
    "alarm.FIRE": ("消防联动", "fire"),
    "alarm.PASSED_TWICE": ("一次开门多人通过", "several passed on one opening"),
    "alarm.DEVICE": ("设备报警", "alarm of the device"),
    "feed.assumed": ("通过为推定", "passage assumed"),
    "feed.people": ("进 {in} · 出 {out}", "{in} in · {out} out"),
    "event.BLOCK_SET": ("停权", "blocked"),
    "event.BLOCK_LIFTED": ("解除停权", "block lifted"),
    "event.IN_USE": ("馆内阅览", "read in the library"),
    "event.TRANSIT_BAGGED": ("装袋", "bagged"),
    "event.TRANSIT_SEEN": ("途中经过", "seen on its way"),
    "event.TRANSIT_CANCELLED": ("取消调拨", "transit cancelled"),
    "event.ITEM_MARKED": ("文献状态", "item marked"),
    "event.LOAN_ENDED": ("结束借阅", "loan ended"),
    "event.LOAN_EXTENDED": ("延长应还日期", "due date extended"),
    "event.ILS_OBSERVED": ("图书馆系统", "seen in the ILS"),
    "event.HOLD_PLACED": ("预约", "hold placed"),
    "event.HOLD_CANCELLED": ("取消预约", "hold cancelled"),
    "event.HOLD_EXPIRED": ("预约过期", "hold expired"),
    "event.VISIT_CLOSED": ("到馆结束(推定)", "visit closed at night"),
    "event.CARD_STATUS": ("读者卡状态", "card status"),
    "event.PIN_LOCKED": ("密码锁定", "PIN locked"),
    "event.CHARGE_PAID": ("缴费", "charge paid"),
    "event.CHARGE_WAIVED": ("免除费用", "charge waived"),
    "event.CLOCK_CORRECTED": ("时钟校正", "clock corrected"),
    "event.CONFLICT_SETTLED": ("冲突已处理", "conflict settled"),
    "event.POLICY_PUBLISHED": ("策略发布", "policy published"),
    # relative times, for the script
    "rel.now": ("刚刚", "just now"),
    "rel.s": ("{n} 秒前", "{n} s ago"),
    "rel.m": ("{n} 分钟前", "{n} min ago"),
    "rel.h": ("{n} 小时前", "{n} h ago"),
    "rel.d": ("{n} 天前", "{n} d ago"),
    "dur.s": ("{n} 秒", "{n} s"),
    "dur.m": ("{n} 分钟", "{n} min"),
    "dur.h": ("{n} 小时", "{n} h"),
    # refusals of the console itself
    "error.title": ("无法显示", "Cannot be shown"),
    "error.back": ("回到总览", "Back to the overview"),
}
"""Key → (zh-CN, en)."""

_BROWSER = ("alarm.", "event.", "rel.", "dur.", "feed.", "reader.", "state.", "function.")


def pick(wanted: str | None, accept_language: str = "") -> str:
    """The language to speak: the one chosen, else the first of the browser's that we know, else zh."""
    if wanted in LANGS:
        return wanted
    for part in accept_language.lower().split(","):
        code = part.split(";")[0].strip()[:2]
        if code in LANGS:
            return code
    return "zh"


def words(lang: str) -> Mapping[str, str]:
    """All words of one language."""
    return _TABLES[LANGS.index(lang)]


_TABLES = tuple({key: pair[i] for key, pair in WORDS.items()} for i in range(len(LANGS)))


def browser_words(lang: str) -> dict[str, str]:
    """The words the script needs, and every reason's sentence as ``reason.CODE``."""
    out = {key: text for key, text in words(lang).items() if key.startswith(_BROWSER)}
    for code, reason in REASONS.items():
        out[f"reason.{code}"] = reason.en if lang == "en" else reason.zh
    return out
