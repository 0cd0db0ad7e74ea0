"""What the simulated model knows of language: words that say nothing, words that mean alike."""

import re
from pathlib import Path

STOP_EN = frozenset(
    """
    a an the is are was were be been am do does did of to in on at for from with by and or but if
    it its this that these those i me my you your we our us they them their he she his her as so
    what which who whom whose when where why how much many can could will would should shall may
    might must have has had not no any some there here then than too very just about into out up
    please tell know want need like get got go say one thing something anything possible really
    product lamp lumina long use used two look still next last went else pick other own make made
    describe explain introduce detail detailed overview summary list
    way work time new old good right back day keep take see find buy bought already ever
    """.split()  # noqa: SIM905
)
STOP_ZH = re.compile(
    "请问|什么|多少|多久|多长|多大|周期|怎么|怎样|如何|哪些|哪里|哪个|可以|能不能|是否|有没有|我们|你们|他们|这个|那个|"
    "一个|一下|还是|或者|如果|因为|所以|但是|已经|大概|到底|究竟|知道|告诉|需要|应该|"
    "产品|流明一号|台灯|流明家居|[的了吗呢吧啊是有在我你您它他她这那就都也还和与跟把被从到会能要想给让很太最几哪请一个盏]"
)

_GROUPS: dict[str, tuple[str, ...]] = {}
_CHINESE: list[tuple[re.Pattern[str], str]] = []
_PHRASES: list[tuple[re.Pattern[str], str]] = []


def stem(word: str) -> str:
    """Give a word without its most common endings: `deliveries` and `delivery` become one."""
    for end, instead in (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", ""), ("ly", "")):
        if word.endswith(end) and len(word) - len(end) >= 3 and not word.endswith("ss"):
            word = word[: len(word) - len(end)] + instead
            break
    if len(word) > 4 and word[-1] == word[-2]:
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


def _load() -> None:
    by_word: dict[str, list[str]] = {}
    for line in Path(__file__).with_name("ideas.txt").read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        idea, words = line.split(":", 1)
        english, chinese = words.split("|")
        _PHRASES.extend(
            (re.compile(re.escape(phrase), re.IGNORECASE), f"#{idea}")
            for phrase in re.findall(r'"([^"]+)"', english)
        )
        for word in re.sub(r'"[^"]+"', "", english).split():
            by_word.setdefault(stem(word), []).append(f"#{idea}")
        _CHINESE.append((re.compile("|".join(map(re.escape, chinese.split()))), f"#{idea}"))
    _GROUPS.update({word: tuple(ideas) for word, ideas in by_word.items()})


_load()

_MONEY = r"(?:USD|CNY|EUR|GBP|[$¥€£])\s?\d|\d[\d,.]*\s*(?:USD|CNY|EUR|dollars?|yuan|元|美元|块)"
_NUMERAL = (
    r"(?:\d[\d,.–-]*|one|two|three|four|five|six|seven|eight|nine|ten|twelve"
    r"|[一二两三四五六七八九十半]+)"
)
_SPAN = (
    rf"{_NUMERAL}(?:\s+\w+)?\s*(?:second|minute|hour|day|week|month|year)s?\b"
    rf"|{_NUMERAL}\s*个?(?:秒|分钟|小时|工作日|天|日|周|星期|月|年)"
)
# What a question wants to hear, and how a sentence that says it looks.
INTENTS = tuple(
    (re.compile(asked, re.IGNORECASE), re.compile(told, re.IGNORECASE))
    for asked, told in (
        (
            r"how much (?!time|longer)|\b(?:price|cost|fee|cheaper|expensive)"
            r"|多少钱|价格|售价|费用|几块|划算",
            _MONEY,
        ),
        (
            r"how (?:long|soon|early|late|often|quick)|\bwhen\b|how many "
            r"(?:second|minute|hour|day|week|month|year)|deadline|多久|多长|几天|什么时候|何时|几个月|几年|多少天|最晚",
            _SPAN,
        ),
        (r"how (?:many|much)|多少|几[个盏次种台张]", _NUMERAL),
        (
            r"how (?:big|tall|thick|slim|wide|far|high|large|deep)|size|dimension"
            r"|多[大高厚宽远深]|尺寸",
            r"\d\s*(?:mm|cm|m|inch|毫米|厘米|米)\b",
        ),
        (r"how heavy|weigh|多重|重量", r"\d\s*(?:kg|g|公斤|千克|克)\b"),
        (r"colour temperature|warm|kelvin|色温", r"\d\s*K\b"),
        (
            r"\bhow (?:do|can|should|to|would)\b|\bsteps?\b|怎么|如何|怎样|步骤",
            r"\b(?:open|tap|go to|press|hold|choose|select|pack|enter)\b"
            r"|打开|点选|点击|按住|进入|选择|长按",
        ),
        (r"\bwhy\b|为什么|为何", r"\bbecause\b|\bso that\b|\bdue to\b|因为|由于|所以"),
        (
            r"^(?:is|are|can|could|may|do|does|will|am)\b|[吗?？]$.*(?<=吗)|能.{0,8}吗|行不行|可不可以|能不能|会不会",
            r"\b(?:cannot|can|not|no|never|only|may|must|works?|supports?|without)\b|不能|可以|不|没有|支持|无需|只能",
        ),
    )
)

_WORD = re.compile(r"[a-z0-9][a-z0-9'’%+.-]*[a-z0-9%]|[a-z0-9]", re.IGNORECASE)
_RUN = re.compile(r"[㐀-鿿]+")


def is_chinese(text: str) -> bool:
    """Whether a text is Chinese rather than English: one character counts like two letters."""
    characters = sum(len(run) for run in _RUN.findall(text))
    return 2 * characters > sum(c.isascii() and c.isalpha() for c in text)


def features(text: str) -> frozenset[str]:
    """Give what a text is about: stems of words, pairs of Chinese characters, ideas (`#…`)."""
    found: set[str] = set()
    for word in _WORD.findall(text.lower()):
        root = stem(word)
        found.update(_GROUPS.get(root, ()))
        if word not in STOP_EN and len(root) > 1:
            found.add(root)
    found.update(idea for phrase, idea in _PHRASES if phrase.search(text))
    if _RUN.search(text):
        found.update(idea for pattern, idea in _CHINESE if pattern.search(text))
        for run in _RUN.findall(STOP_ZH.sub(" ", text)):
            found.update(run[i : i + 2] for i in range(len(run) - 1))
    return frozenset(found)
