"""What made-up residents write and made-up units answer."""

TEXTS = (
    "反映小区附近{matter}的问题，已经持续几天，影响大家正常生活，请尽快派人处理。",
    "我们这里{matter}的情况一直没有解决，之前也说过，希望这次能有个结果。",
    "咨询一下{matter}怎么办理、找哪个部门，需要准备什么材料。",
    "今天路过时发现{matter}方面有问题，存在隐患，请核实。",
    "关于{matter}，老人和孩子出行很不方便，请给予帮助。",
    "请问{matter}的事情什么时候能处理，希望给一个明确的时间。",
)
REPLIES = (
    "您好，您反映的问题已安排人员到现场核实并处理完毕，感谢您的监督。",
    "您好，经核实情况属实，责任单位已整改到位，后续将加强巡查。",
    "您好，相关政策已向您说明，如还有疑问可随时与我们联系。",
)
RATED = ("处理得很及时", "工作人员很耐心", "问题解决了")
NOT_GOOD = ("nobody_came", "slow", "attitude", "not_solved", "unclear_reply")  # RatingReason
