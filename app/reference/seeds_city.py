"""The city's units, what residents write about, and who answers for it: 胶州市.

A category leaf names the unit that answers for it in the whole city. Village life is answered for
by the town (镇街) itself, through one routing rule per town and category.
"""

from dataclasses import dataclass
from typing import NamedTuple

from app.domain import sla
from app.domain.sla import Policy
from app.reference.kinds import UnitKind

CITY_DEPARTMENTS: dict[str, str] = {
    "housing": "胶州市住房和城乡建设局",
    "enforcement": "胶州市综合行政执法局",
    "transport": "胶州市交通运输局",
    "agriculture": "胶州市农业农村局",
    "civil": "胶州市民政局",
    "labour": "胶州市人力资源和社会保障局",
    "medicare": "胶州市医疗保障局",
    "health": "胶州市卫生健康局",
    "education": "胶州市教育和体育局",
    "police": "胶州市公安局",
    "traffic_police": "胶州市公安局交通警察大队",
    "ecology": "青岛市生态环境局胶州分局",
    "water": "胶州市水务局",
    "market": "胶州市市场监督管理局",
    "land": "胶州市自然资源和规划局",
    "emergency": "胶州市应急管理局",
    "fire": "胶州市消防救援大队",
    "justice": "胶州市司法局",
    "culture": "胶州市文化和旅游局",
    "veterans": "胶州市退役军人事务局",
    "disabled": "胶州市残疾人联合会",
    "approval": "胶州市行政审批服务局",
}

UTILITIES: dict[str, str] = {
    "power_company": "国网胶州市供电公司",
    "water_company": "胶州市水务集团",
    "gas_company": "胶州市燃气公司",
    "heat_company": "胶州市热力公司",
}

TOWNS: dict[str, str] = {
    "370281001": "阜安街道",
    "370281002": "中云街道",
    "370281004": "三里河街道",
    "370281006": "九龙街道",
    "370281007": "胶东街道",
    "370281008": "胶北街道",
    "370281009": "胶西街道",
    "370281010": "胶莱街道",
    "370281102": "李哥庄镇",
    "370281105": "铺集镇",
    "370281108": "里岔镇",
    "370281111": "洋河镇",
}


class UnitSeed(NamedTuple):
    code: str
    name: str
    kind: UnitKind
    grid_code: str | None = None


def town_unit_code(town_code: str) -> str:
    return f"t-{town_code}"


UNITS: tuple[UnitSeed, ...] = (
    *(UnitSeed(code, name, UnitKind.CITY_DEPARTMENT) for code, name in CITY_DEPARTMENTS.items()),
    *(UnitSeed(code, name, UnitKind.UTILITY) for code, name in UTILITIES.items()),
    *(
        UnitSeed(town_unit_code(code), name + ("办事处" if name.endswith("街道") else "人民政府"),
                 UnitKind.TOWN, code)
        for code, name in TOWNS.items()
    ),
)  # fmt: skip

URGENT = Policy(
    code="urgent", name="停水停电停气等急事", reply_days=1, reopen_days=1, extension_days=2
)
POLICIES: tuple[Policy, ...] = (sla.DEFAULT_POLICY, URGENT)


@dataclass(frozen=True, slots=True)
class Leaf:
    """``code`` is the part after the root's. ``gb`` is an item of GB/T 47678.5-2026."""

    code: str
    name: str
    unit: str | None = None
    gb: str | None = None
    policy: str | None = None
    grid: bool = False  # the grid may settle it by itself


@dataclass(frozen=True, slots=True)
class Root:
    code: str
    name: str
    leaves: tuple[Leaf, ...]


# fmt: off
CATEGORIES: tuple[Root, ...] = (
    Root("env", "人居环境", (
        Leaf("garbage",   "生活垃圾", "enforcement", "06010"),
        Leaf("sewage",    "污水排放", "water",       "06030"),
        Leaf("clutter",   "柴草杂物堆放", "enforcement", "06036"),
        Leaf("toilet",    "旱厕与公厕", "enforcement", "03001"),
        Leaf("livestock", "牲畜家禽散养", "agriculture", "06038"),
        Leaf("river",     "河道沟渠不洁", "water",     "06026"),
        Leaf("burning",   "焚烧垃圾秸秆", "ecology",   "06020"),
        Leaf("pollution", "大气与噪声污染", "ecology",  "06028"),
        Leaf("greenery",  "绿化损坏", "housing",      "04013"),
    )),
    Root("road", "道路路灯", (
        Leaf("damage",  "道路破损", "transport",      "06013"),
        Leaf("lamp",    "路灯不亮", "housing",        "01037"),
        Leaf("manhole", "井盖异常", "housing",        "01003"),
        Leaf("signal",  "交通信号与标志", "traffic_police", "02014"),
        Leaf("parking", "停车乱象", "traffic_police", "09009"),
        Leaf("bus",     "公交客运", "transport",      "02004"),
        Leaf("ice",     "道路积雪结冰", "transport",  "10001"),
    )),
    Root("utility", "供水供电供暖燃气", (
        Leaf("water_outage", "停水", "water_company", policy="urgent"),
        Leaf("water",        "水质水压与水费", "water_company"),
        Leaf("power_outage", "停电", "power_company", policy="urgent"),
        Leaf("power",        "电压与电费", "power_company"),
        Leaf("heating",      "供暖", "heat_company"),
        Leaf("gas_outage",   "停气", "gas_company", policy="urgent"),
        Leaf("gas",          "燃气开通与费用", "gas_company"),
    )),
    Root("farm", "农业生产", (
        Leaf("irrigation", "灌溉用水", "water"),
        Leaf("machinery",  "农机服务", "agriculture"),
        Leaf("pest",       "病虫害防治", "agriculture", "06021"),
        Leaf("subsidy",    "惠农补贴", "agriculture"),
        Leaf("land_use",   "土地流转承包", "agriculture"),
    )),
    Root("house", "宅基地与建房", (
        Leaf("homestead",  "宅基地申请", "agriculture"),
        Leaf("illegal",    "私搭乱建", "enforcement", "06001"),
        Leaf("dangerous",  "危房改造", "housing"),
        Leaf("demolition", "征收拆迁", "housing"),
        Leaf("title",      "不动产登记", "land"),
    )),
    Root("dispute", "矛盾纠纷", (
        Leaf("neighbour", "邻里纠纷", "justice"),
        Leaf("land",      "土地纠纷", "land"),
        Leaf("family",    "婚姻家庭纠纷", "justice"),
        Leaf("other",     "其他纠纷", "justice"),
    )),
    Root("welfare", "社会保障", (
        Leaf("allowance",  "低保与救助", "civil"),
        Leaf("elderly",    "养老服务", "civil"),
        Leaf("pension",    "社保养老金", "labour"),
        Leaf("medicare",   "医疗保险", "medicare"),
        Leaf("disability", "残疾人服务", "disabled"),
        Leaf("job",        "就业与欠薪", "labour"),
        Leaf("veteran",    "退役军人服务", "veterans"),
    )),
    Root("public", "教育医疗", (
        Leaf("school",   "入学与学校管理", "education"),
        Leaf("training", "校外培训", "education"),
        Leaf("hospital", "就医与医院服务", "health"),
        Leaf("clinic",   "村卫生室", "health"),
        Leaf("culture",  "文化体育设施", "culture", "01046"),
    )),
    Root("safety", "治安与安全隐患", (
        Leaf("order",       "治安问题", "police"),
        Leaf("fire_lane",   "占用消防通道", "fire", "09012"),
        Leaf("cable",       "架空线缆脱落", "power_company", "10002"),
        Leaf("dog",         "犬只伤人扰民", "police"),
        Leaf("production",  "安全生产隐患", "emergency"),
        Leaf("food",        "食品药品安全", "market"),
    )),
    Root("estate", "物业与小区", (
        Leaf("service",   "物业服务与收费", "housing"),
        Leaf("lift",      "电梯故障", "market", "01076"),
        Leaf("leak",      "房屋漏水与质量", "housing"),
        Leaf("committee", "业委会与维修资金", "housing"),
        Leaf("charging",  "充电桩", "housing", "01054"),
        Leaf("noise",     "施工与生活噪声", "enforcement", "08001"),
    )),
    Root("policy", "政策咨询", (
        Leaf("residence", "户籍与居住证", "police"),
        Leaf("business",  "企业开办与审批", "approval"),
        Leaf("home_fund", "购房与公积金", "housing"),
        Leaf("consumer",  "消费维权", "market"),
        Leaf("tourism",   "旅游出行", "culture"),
        Leaf("legal",     "法律援助", "justice"),
    )),
    Root("idea", "意见建议", (
        Leaf("micro", "微点子", grid=True),
        Leaf("city",  "城市建设与管理建议"),
        Leaf("work",  "对干部作风的意见"),
    )),
    Root("praise", "表扬感谢", (
        Leaf("person", "表扬个人"),
        Leaf("unit",   "表扬单位"),
    )),
    Root("wish", "微心愿", (
        Leaf("elderly", "老人心愿", "civil"),
        Leaf("child",   "儿童心愿", "civil"),
        Leaf("hardship", "困难家庭心愿", "civil"),
    )),
    Root("other", "其他", (
        Leaf("unsorted", "说不清属于哪一类", grid=True),
    )),
)
# fmt: on

# Answered for by the town itself where the place is known, but for the leaves that follow.
VILLAGE_LIFE: tuple[str, ...] = ("env", "house", "dispute", "farm")
CITY_MATTERS: frozenset[str] = frozenset({"env.pollution", "house.title"})


def village_matters() -> list[str]:
    """Codes of the roots and leaves of village life that a town answers for."""
    return [
        code
        for root in CATEGORIES
        if root.code in VILLAGE_LIFE
        for code in (root.code, *(f"{root.code}.{leaf.code}" for leaf in root.leaves))
        if code not in CITY_MATTERS
    ]
