"""A device is offline or degraded."""

from __future__ import annotations

from edge.checks.base import Issue, Vitals

_CONFIGURED = ("配置有误，详见日志", "Its configuration is wrong: the log says what.")
_WHAT = {
    "UNKNOWN_OPTION": _CONFIGURED,
    "BAD_OPTION": _CONFIGURED,
    "BAD_URL": _CONFIGURED,
    "CARD_PROFILE": _CONFIGURED,
    "NO_SUCH_GATE": _CONFIGURED,
    "RESTARTING": ("正在重新启动", "It is being restarted."),
    "STUCK": ("驱动程序不释放设备：请重启边缘端", "Its driver does not let go of it: restart the edge."),
    "PAPER_OUT": ("打印机缺纸", "The printer is out of paper."),
    "PAPER_LOW": ("打印纸将用完", "The printer's paper is running out."),
    "COVER_OPEN": ("打印机盖未合上", "The printer's cover is open."),
    "DRIVER_FAILED": ("驱动程序异常，正在重启", "Its driver failed and is being restarted."),
    "UNKNOWN_DRIVER": ("没有此类设备的驱动：检查 kind", "There is no driver of this kind: check `kind`."),
    "BACKLOG": ("控制器正在补发旧记录", "The controller is still sending old records."),
    "FIELD_NOISY": (
        "读写区受干扰：检查附近的金属和天线",
        "The field is noisy: look for metal and other antennas nearby.",
    ),
    "FOREIGN_TAG": ("读写区内有别的卡或标签：请拿开", "A card or tag of another kind lies there: take it away."),
    "PORT_STUCK": ("设备不再接收数据：检查设备与线缆", "The device takes no data any more: check it and its cable."),
    "NOISY_LINE": ("线路干扰：检查线缆与接地", "The line is noisy: check cable and earth."),
    "ANTENNA_REFUSED": ("天线未连接或不存在：检查天线", "An antenna is not connected, or not there."),
    "INVENTORY_REFUSED": ("读写器拒绝盘点：检查其设置", "The RFID reader refuses to look for tags."),
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
