"""What a request is about and how people spoke of it: the closed word lists of the forms."""

from enum import StrEnum


class Kind(StrEnum):
    """诉求类型. Source: DB12/T 1438-2025."""

    CONSULT = "consult"
    HELP = "help"
    COMPLAINT = "complaint"
    REPORT = "report"
    SUGGESTION = "suggestion"
    PRAISE = "praise"


KIND_TEXT: dict[Kind, str] = {
    Kind.CONSULT: "咨询",
    Kind.HELP: "求助",
    Kind.COMPLAINT: "投诉",
    Kind.REPORT: "举报",
    Kind.SUGGESTION: "建议",
    Kind.PRAISE: "表扬",
}


class Channel(StrEnum):
    """How a request came in."""

    MINI_PROGRAM = "mini_program"
    DESK = "desk"  # taken down by staff for somebody else


class ContactMethod(StrEnum):
    PHONE = "phone"
    VISIT = "visit"
    MESSAGE = "message"


CONTACT_METHOD_TEXT: dict[ContactMethod, str] = {
    ContactMethod.PHONE: "电话",
    ContactMethod.VISIT: "上门",
    ContactMethod.MESSAGE: "小程序",
}


class ContactResult(StrEnum):
    REACHED = "reached"
    NO_ANSWER = "no_answer"
    WRONG_NUMBER = "wrong_number"


CONTACT_RESULT_TEXT: dict[ContactResult, str] = {
    ContactResult.REACHED: "已联系",
    ContactResult.NO_ANSWER: "未接",
    ContactResult.WRONG_NUMBER: "空号",
}


class ReturnReason(StrEnum):
    NOT_OURS = "not_ours"
    WRONG_ADDRESS = "wrong_address"
    DUPLICATE = "duplicate"
    OTHER = "other"


RETURN_REASON_TEXT: dict[ReturnReason, str] = {
    ReturnReason.NOT_OURS: "非本单位职责",
    ReturnReason.WRONG_ADDRESS: "地址有误",
    ReturnReason.DUPLICATE: "重复",
    ReturnReason.OTHER: "其他",
}


class RejectionGround(StrEnum):
    """依据: what the law sends elsewhere. Source: the workflow's list of legal grounds."""

    LAWSUIT = "lawsuit"
    PETITION = "petition"
    SECRET = "secret"  # noqa: S105
    OUTSIDE_AREA = "outside_area"
    OTHER_BODY = "other_body"
    EMERGENCY = "emergency"
    UNREACHABLE = "unreachable"


REJECTION_GROUND_TEXT: dict[RejectionGround, str] = {
    RejectionGround.LAWSUIT: "应通过诉讼、仲裁、纪检监察、行政复议或政府信息公开等渠道解决",
    RejectionGround.PETITION: "已进入信访渠道",
    RejectionGround.SECRET: "涉及国家秘密、商业秘密、个人隐私或违反公序良俗",
    RejectionGround.OUTSIDE_AREA: "不属于本行政区域",
    RejectionGround.OTHER_BODY: "属于党委、人大、政协、法院、检察院、党派、群团职责",
    RejectionGround.EMERGENCY: "应拨打110、119、120、122等紧急电话",
    RejectionGround.UNREACHABLE: "两次要求补充后仍无有效内容",
}


class ExtensionReason(StrEnum):
    SURVEY = "survey"
    COORDINATION = "coordination"
    CONSTRUCTION = "construction"
    WEATHER = "weather"
    OTHER = "other"


EXTENSION_REASON_TEXT: dict[ExtensionReason, str] = {
    ExtensionReason.SURVEY: "情况复杂，需调查核实",
    ExtensionReason.COORDINATION: "需多单位协调",
    ExtensionReason.CONSTRUCTION: "需施工",
    ExtensionReason.WEATHER: "天气原因",
    ExtensionReason.OTHER: "其他",
}


class PauseReason(StrEnum):
    """Why the reply clock may stand. The last one is the desk's asking, the others suspensions."""

    JUDGMENT = "judgment"
    APPROVAL = "approval"
    WEATHER = "weather"
    RESIDENT_WISH = "resident_wish"
    CONSTRUCTION_PLAN = "construction_plan"
    NEED_INFO = "need_info"


PAUSE_REASON_TEXT: dict[PauseReason, str] = {
    PauseReason.JUDGMENT: "等待司法、仲裁结果",
    PauseReason.APPROVAL: "需上级审批",
    PauseReason.WEATHER: "汛期或天气不可施工",
    PauseReason.RESIDENT_WISH: "诉求人要求暂缓",
    PauseReason.CONSTRUCTION_PLAN: "施工计划期",
    PauseReason.NEED_INFO: "等待诉求人补充",
}
SUSPENSION_DAYS = 90


# Words after which the answer to a submission also names the emergency numbers.
_EMERGENCY: dict[str, str] = {
    "着火": "119", "起火": "119", "火灾": "119", "爆炸": "119", "燃气泄漏": "119",
    "抢劫": "110", "杀人": "110", "持刀": "110", "斗殴": "110",
    "昏迷": "120", "心脏病发": "120", "中毒": "120", "大出血": "120",
}  # fmt: skip


def emergency_number(text: str) -> str | None:
    """Return 110, 119 or 120 if ``text`` speaks of danger to life, else None."""
    return next((number for word, number in _EMERGENCY.items() if word in text), None)
