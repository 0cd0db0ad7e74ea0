"""PDF and Word files to read, written as other programs write them."""

import io
import zipfile
from xml.sax.saxutils import escape

from pypdf import PageObject, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, StreamObject

_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_PARTS = "http://schemas.openxmlformats.org/package/2006"
_KINDS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def pdf(*pages: str, password: str | None = None, owner: str | None = None) -> bytes:
    """Write a PDF with these pages, in any script; encrypt it with AES if there is a password."""
    writer = PdfWriter()
    for text in pages:
        page = writer.add_blank_page(595, 842)
        if text:
            _write(writer, page, text)
    if owner or password:
        writer.encrypt(password or "", owner, algorithm="AES-256")
    content = io.BytesIO()
    writer.write(content)
    return content.getvalue()


def _write(writer: PdfWriter, page: PageObject, text: str) -> None:
    unicode_map, shown = StreamObject(), StreamObject()
    letters = {letter.encode("utf-16-be").hex() for letter in text if letter != "\n"}
    pairs = "".join(f"1 beginbfchar <{code}> <{code}> endbfchar\n" for code in sorted(letters))
    every = "1 begincodespacerange <0000> <FFFF> endcodespacerange"
    unicode_map.set_data(f"begincmap\n{every}\n{pairs}endcmap".encode())
    lines = "".join(f"<{line.encode('utf-16-be').hex()}> Tj T* " for line in text.splitlines())
    shown.set_data(f"BT /F 12 Tf 14 TL 50 780 Td {lines}ET".encode())
    name = NameObject
    inner = DictionaryObject(
        {name("/Type"): name("/Font"), name("/Subtype"): name("/CIDFontType2")}
    )
    font = DictionaryObject(
        {
            name("/Type"): name("/Font"),
            name("/Subtype"): name("/Type0"),
            name("/BaseFont"): name("/Any"),
            name("/Encoding"): name("/Identity-H"),
            name("/DescendantFonts"): ArrayObject([inner]),
            name("/ToUnicode"): writer._add_object(unicode_map),
        }
    )
    fonts = DictionaryObject({name("/F"): writer._add_object(font)})
    page[name("/Resources")] = DictionaryObject({name("/Font"): fonts})
    page[name("/Contents")] = writer._add_object(shown)


def docx(*paragraphs: str) -> bytes:
    """Write a Word file; a paragraph that begins with "# " is a heading."""
    body = ""
    for text in paragraphs:
        heading = text.startswith("# ")
        style = '<w:pPr><w:pStyle w:val="1"/></w:pPr>' if heading else ""
        body += f"<w:p>{style}<w:r><w:t>{escape(text.removeprefix('# '))}</w:t></w:r></w:p>"
    main, xml = "application/vnd.openxmlformats-officedocument.wordprocessingml", "application/xml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PARTS}/content-types">'
        f'<Default Extension="xml" ContentType="{xml}"/>'
        f'<Override PartName="/word/document.xml" ContentType="{main}.document.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{_PARTS}/relationships">'
        f'<Relationship Id="r" Type="{_KINDS}/officeDocument"'
        ' Target="word/document.xml"/></Relationships>',
        # Chinese Word gives its heading style the id "1", and the English name.
        "word/styles.xml": f'<w:styles xmlns:w="{_WORD}"><w:style w:type="paragraph" w:styleId="1">'
        '<w:name w:val="heading 1"/></w:style></w:styles>',
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{_PARTS}/relationships">'
        f'<Relationship Id="s" Type="{_KINDS}/styles"'
        ' Target="styles.xml"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>',
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in parts.items():
            packed.writestr(name, text)
    return content.getvalue()
