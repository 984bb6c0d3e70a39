"""What states and events are called in Chinese and English where people read of them."""

from __future__ import annotations

ITEM_STATES: dict[str, tuple[str, str]] = {
    "SHELVED": ("在架", "on the shelf"),
    "ON_LOAN": ("借出", "on loan"),
    "RETURNED_AT": ("已还待运", "returned, waiting here"),
    "IN_TRANSIT": ("调拨途中", "in transit"),
    "HOLD_SHELF": ("预约架", "on the hold shelf"),
    "EXCEPTION": ("待处理", "set aside for staff"),
    "MISSING": ("查找中", "missing"),
    "LOST": ("丢失", "lost"),
    "CLAIMED_RETURNED": ("读者称已还", "claimed returned"),
    "WITHDRAWN": ("注销", "withdrawn"),
}
"""States of an item, zh and en."""

LOAN_STATES: dict[str, tuple[str, str]] = {
    "OPEN": ("借阅中", "open"),
    "RETURN": ("已归还", "returned"),
    "IMPLIED_RETURN": ("推定归还", "return implied by the next loan"),
    "LOST_PAID": ("丢失已赔", "lost and paid for"),
    "CLAIMED_RETURNED": ("声称已还后找到", "found after a claim"),
    "STAFF": ("馆员结束", "ended by staff"),
}
"""An open loan, and the ways it ends, zh and en."""

TRANSIT_STATES: dict[str, tuple[str, str]] = {
    "REQUESTED": ("待发", "requested"),
    "BAGGED": ("已装袋", "bagged"),
    "SENT": ("已发出", "sent"),
    "AT_HUB": ("到达分拣中心", "at the sort hub"),
    "ARRIVED": ("已到达", "arrived"),
    "MISROUTED": ("误送", "misrouted"),
    "RECEIVED": ("已签收", "received"),
    "CANCELLED": ("已取消", "cancelled"),
    "SUPERSEDED": ("途中借出", "lent on the way"),
    "LOST": ("途中丢失", "lost on the way"),
}
"""States of a transit, zh and en."""

VISIT_STATES: dict[str, tuple[str, str]] = {
    "INSIDE": ("在馆", "inside"),
    "EXIT": ("离馆", "went out"),
    "NEXT_ENTRY": ("再次进馆时结束", "ended by the next entry"),
    "INFERRED_CLOSE": ("闭馆时结束", "closed at night"),
}
"""A visit, and the ways it ends, zh and en."""

HOLD_STATES: dict[str, tuple[str, str]] = {
    "WAITING": ("等待", "waiting"),
    "IN_TRANSIT": ("调拨途中", "on its way"),
    "READY": ("可取", "ready"),
    "FILLED": ("已取书", "filled"),
    "CANCELLED": ("已取消", "cancelled"),
    "EXPIRED": ("已过期", "expired"),
}
"""States of a hold, zh and en."""

EVENTS: dict[str, str] = {
    "CHECKOUT": "借出",
    "RENEW": "续借",
    "RETURN": "还入",
    "RECEIVE": "签收",
    "IN_USE": "馆内阅览",
    "TRANSIT_BAGGED": "装袋",
    "TRANSIT_SENT": "发出",
    "TRANSIT_SEEN": "途中扫描",
    "TRANSIT_CANCELLED": "取消调拨",
    "ITEM_MARKED": "文献标记",
    "LOAN_ENDED": "借阅结束",
    "LOAN_EXTENDED": "应还日期顺延",
    "ILS_OBSERVED": "图书馆系统所见",
    "HOLD_PLACED": "预约",
    "HOLD_CANCELLED": "取消预约",
    "HOLD_EXPIRED": "预约过期",
    "ENTRY": "进馆",
    "EXIT": "离馆",
    "VISIT_CLOSED": "夜间结束到馆",
    "REFUSED": "未通过",
    "TAG_WRITTEN": "标签改写",
    "DEVICE": "设备状态",
    "GATE_ALARM": "安全门报警",
    "PEOPLE_COUNTED": "人数统计",
    "BLOCK_SET": "停权",
    "BLOCK_LIFTED": "解除停权",
    "CARD_STATUS": "读者卡状态",
    "PIN_LOCKED": "密码锁定",
    "CHARGE_PAID": "缴费",
    "CHARGE_WAIVED": "免除费用",
    "CLOCK_CORRECTED": "时钟更正",
    "CONFLICT_SETTLED": "冲突处理完毕",
    "POLICY_PUBLISHED": "策略发布",
}
"""Types of event in Chinese; in English the type is its own name."""
