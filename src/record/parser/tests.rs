use super::super::MAX_NODES;
use super::*;
use Kind::{Artists, Labels, Masters, Releases};

fn parse(kind: Kind, record: &str) -> Result<(String, Document), Malformed> {
    let mut out = Vec::new();
    let document = Parser::new().parse(kind, record.as_bytes(), &mut out)?;
    Ok((String::from_utf8(out).unwrap(), document))
}

fn json(kind: Kind, record: &str) -> String {
    parse(kind, record).unwrap_or_else(|error| panic!("{record}: {error}")).0
}

/// Each row: what stands inside an artist, and what stands inside its object.
fn assert_rows(rows: &[(&str, &str)]) {
    for (inner, expected) in rows {
        let got = json(Artists, &format!("<artist>{inner}</artist>"));
        assert_eq!(got, format!("{{{expected}}}"), "{inner}");
    }
}

#[test]
fn an_element_is_a_string_null_or_an_object() {
    assert_rows(&[
        ("<a>x</a>", r#""a":"x""#),
        ("<a> p </a>", r#""a":" p ""#),
        ("<a/>", r#""a":null"#),
        ("<a></a>", r#""a":null"#),
        ("<a> \n\t\u{3000}\u{a0}\u{2028}</a>", r#""a":null"#),
        ("<a>&#32;&#160;</a>", r#""a":null"#),
        ("<a>\u{200b}</a>", "\"a\":\"\u{200b}\""),
        (r#"<a b="1"/>"#, r#""a":{"@b":"1"}"#),
        (r#"<a b=""/>"#, r#""a":{"@b":""}"#),
        (r#"<a b='1' c = "2">x</a>"#, r##""a":{"#text":"x","@b":"1","@c":"2"}"##),
        ("<a>x<b/>y</a>", r##""a":{"#text":"xy","b":null}"##),
        ("<a> <b/> </a>", r#""a":{"b":null}"#),
        ("<a/><b/><a>2</a>", r#""a":[null,"2"],"b":null"#),
    ]);
}

#[test]
fn keys_are_sorted_by_their_bytes() {
    assert_rows(&[
        ("<b/><a/><B/><_/>", r#""B":null,"_":null,"a":null,"b":null"#),
        ("<a1/><a/><a-/>", r#""a":null,"a-":null,"a1":null"#),
        (
            "<abcdefghj/><abcdefgh/><abcdefghi/>",
            r#""abcdefgh":null,"abcdefghi":null,"abcdefghj":null"#,
        ),
        ("<é/><z/>", r#""z":null,"é":null"#),
    ]);
}

#[test]
fn line_ends_and_references_are_resolved() {
    assert_rows(&[
        ("<a>x\r\ny\rz\nw</a>", r#""a":"x\ny\nz\nw""#),
        ("<a>x&#13;\ny</a>", r#""a":"x\r\ny""#),
        ("<a b='x\r\ny\tz\nw\r'/>", r#""a":{"@b":"x y z w "}"#),
        ("<a b='x&#13;&#10;&#9;y'/>", r#""a":{"@b":"x\r\n\ty"}"#),
        ("<a>&amp;&lt;&gt;&quot;&apos;</a>", r#""a":"&<>\"'""#),
        ("<a>&#228;&#xE4;&#x2153;&#128512;</a>", r#""a":"ää⅓😀""#),
        (
            "<a>&#0;&#xD800;&#x110000;&#99999999999;</a>",
            "\"a\":\"\u{fffd}\u{fffd}\u{fffd}\u{fffd}\"",
        ),
        (
            "<a>&nbsp;&#;&#x;&#xzz;&#X41; & &x &amp</a>",
            r#""a":"&nbsp;&#;&#x;&#xzz;&#X41; & &x &amp""#,
        ),
        ("<a>&amp;lt;</a>", r#""a":"&lt;""#),
        ("<a b='&amp;&nbsp;&#0;&'/>", "\"a\":{\"@b\":\"&&nbsp;\u{fffd}&\"}"),
        ("<a>&am<!-- -->p;</a>", r#""a":"&amp;""#),
    ]);
}

#[test]
fn cdata_is_text_and_comments_and_instructions_are_nothing() {
    assert_rows(&[
        ("<a><![CDATA[<b>&amp;\r\n]]></a>", r#""a":"<b>&amp;\n""#),
        ("<a>x<![CDATA[]]>y<![CDATA[z]]></a>", r#""a":"xyz""#),
        ("<a>x<!-- <b> -->y<?p <c?>z</a>", r#""a":"xyz""#),
        ("<a><![CDATA[ ]]> </a>", r#""a":null"#),
        ("<a>]]></a>", r#""a":"]]>""#),
    ]);
}

#[test]
fn only_what_must_be_is_escaped() {
    assert_rows(&[(
        "<a>\"\\/\u{1}\u{8}\u{c}&#10;&#13;&#9;\u{1f}\u{7f}é\u{2028}</a>",
        "\"a\":\"\\\"\\\\/\\u0001\\b\\f\\n\\r\\t\\u001f\u{7f}é\u{2028}\"",
    )]);
}

#[test]
fn invalid_utf8_is_replaced() {
    let mut out = Vec::new();
    Parser::new().parse(Artists, b"<artist><a>x\xffy</a></artist>", &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "{\"a\":\"x\u{fffd}y\"}");
}

#[test]
fn the_id_is_the_attribute_else_the_child_else_unknown() {
    let rows = [
        (Artists, "<artist id='1'><id>2</id></artist>", "1", r#"{"@id":"1"}"#, None),
        (
            Artists,
            "<artist><a/><id>2</id></artist>",
            "2",
            r#"{"a":null,"id":"2"}"#,
            Some(r#""id":"2""#),
        ),
        (Artists, "<artist><id/></artist>", "unknown", r#"{"id":null}"#, Some(r#""id":null"#)),
        (
            Artists,
            "<artist><id>1</id><id>2</id></artist>",
            "unknown",
            r#"{"id":["1","2"]}"#,
            Some(r#""id":["1","2"]"#),
        ),
        (Artists, "<artist><a><id>1</id></a></artist>", "unknown", r#"{"a":{"id":"1"}}"#, None),
        (
            Releases,
            "<release id='1'><id>2</id></release>",
            "1",
            r#"{"id":"1"}"#,
            Some(r#""id":"1""#),
        ),
        (
            Masters,
            "<master a='x'><id>2</id></master>",
            "2",
            r#"{"a":"x","id":"2"}"#,
            Some(r#""id":"2""#),
        ),
        (Releases, "<release id='&quot;'/>", "\"", r#"{"id":"\""}"#, Some(r#""id":"\"""#)),
    ];
    for (kind, record, id, expected, member) in rows {
        let (json, document) = parse(kind, record).unwrap();
        assert_eq!((&*json, &*document.id), (expected, id), "{record}");
        assert_eq!(document.id_member.map(|range| &json[range]), member, "{record}");
    }
}

#[test]
fn artists_have_plain_lists_of_members_groups_and_aliases() {
    for field in ["members", "groups", "aliases"] {
        let item = r#""id":"1","name":"x""#;
        for (inner, expected) in [
            ("<name id='1'>x</name>", format!("[{{{item}}}]")),
            (
                "<id>1</id><name id='1'>x</name><id>2</id><name>y</name>",
                format!(r#"[{{{item}}},{{"id":"y"}}]"#),
            ),
            ("<name/><name/>", "[null,null]".to_owned()),
            ("text", r#"[{"id":"text"}]"#.to_owned()),
        ] {
            let got = json(Artists, &format!("<artist><{field}>{inner}</{field}></artist>"));
            assert_eq!(got, format!(r#"{{"{field}":{expected}}}"#));
        }
        for nothing in ["", "<name/>", "<id>1</id>", " "] {
            let got = json(Artists, &format!("<artist><{field}>{nothing}</{field}></artist>"));
            assert_eq!(got, "{}", "{nothing}");
        }
    }
    let twice = "<artist><members a='1'/><members><name>x</name></members></artist>";
    assert_eq!(json(Artists, twice), r#"{"members":[{"a":"1"},{"name":"x"}]}"#);
}

#[test]
fn labels_have_a_stripped_parent_and_a_plain_list_of_sublabels() {
    for (inner, expected) in [
        ("<parentLabel id='1'>x</parentLabel>", r#"{"parentLabel":{"id":"1","name":"x"}}"#),
        ("<parentLabel>x</parentLabel>", r#"{"parentLabel":"x"}"#),
        ("<parentLabel/>", r#"{"parentLabel":null}"#),
        ("<parentLabel id='1'/><parentLabel/>", r#"{"parentLabel":[{"@id":"1"},null]}"#),
        (
            "<sublabels><label id='1'>x</label></sublabels>",
            r#"{"sublabels":[{"id":"1","name":"x"}]}"#,
        ),
        ("<sublabels><label/></sublabels>", "{}"),
        ("<sublabels><label/><label/></sublabels>", r#"{"sublabels":[null,null]}"#),
        ("<name id='1'>x</name>", r##"{"name":{"#text":"x","@id":"1"}}"##),
    ] {
        assert_eq!(json(Labels, &format!("<label>{inner}</label>")), expected, "{inner}");
    }
}

#[test]
fn masters_and_releases_are_stripped_and_have_plain_lists() {
    for (kind, tag) in [(Masters, "master"), (Releases, "release")] {
        for (inner, expected) in [
            (
                "<artists><artist><id>1</id></artist></artists>",
                r#"{"artists":[{"id":"1"}],"k":"v"}"#,
            ),
            (
                "<genres><genre>a</genre><genre>b</genre></genres>",
                r#"{"genres":["a","b"],"k":"v"}"#,
            ),
            ("<styles><style>a</style></styles><genres/>", r#"{"k":"v","styles":["a"]}"#),
            ("<genres>a</genres>", r#"{"genres":["a"],"k":"v"}"#),
            ("<genres><genre a='1'/></genres>", r#"{"genres":[{"@a":"1"}],"k":"v"}"#),
            ("<videos><video src='1'/></videos>", r#"{"k":"v","videos":{"video":{"@src":"1"}}}"#),
            ("text", r#"{"k":"v","name":"text"}"#),
            ("text<name>n</name>", r##"{"#text":"text","k":"v","name":"n"}"##),
            ("<k>child</k>", r#"{"k":"v"}"#),
        ] {
            assert_eq!(json(kind, &format!("<{tag} k='v'>{inner}</{tag}>")), expected, "{inner}");
        }
        let clash = format!("<{tag} name='a'>text</{tag}>");
        assert_eq!(json(kind, &clash), r#"{"name":"a"}"#);
        let field = format!("<{tag} genres='a' artists='b'/>");
        assert_eq!(json(kind, &field), r#"{"artists":[{"id":"b"}],"genres":["a"]}"#);
    }
}

#[test]
fn releases_have_plain_labels_credits_formats_and_master() {
    for (inner, expected) in [
        (
            "<labels><label catno='c' id='1' name='x'/></labels>",
            r#"{"labels":[{"catno":"c","id":"1","name":"x"}]}"#,
        ),
        ("<extraartists><artist>x</artist></extraartists>", r#"{"extraartists":[{"id":"x"}]}"#),
        (
            "<formats><format name='V'>t<d><e a='1'/></d></format></formats>",
            r#"{"formats":[{"d":{"e":{"@a":"1"}},"name":"V"}]}"#,
        ),
        ("<formats><format>x</format><format/></formats>", r#"{"formats":["x",null]}"#),
        ("<master_id>1</master_id>", r#"{"master_id":"1"}"#),
        ("<master_id is_main_release='true'>1</master_id>", r#"{"master_id":"1"}"#),
        ("<master_id a='1'><id>2</id></master_id>", r#"{"master_id":"2"}"#),
        ("<master_id a='1'/>", r#"{"master_id":{"@a":"1"}}"#),
        ("<master_id/>", r#"{"master_id":null}"#),
    ] {
        assert_eq!(json(Releases, &format!("<release>{inner}</release>")), expected, "{inner}");
    }
    assert_eq!(
        json(Masters, "<master><formats><format/></formats></master>"),
        r#"{"formats":{"format":null}}"#
    );
}

#[test]
fn the_hash_is_over_the_json_with_the_id() {
    let (_, document) = parse(Artists, "<artist><id>1</id></artist>").unwrap();
    let expected = "5811967f540d300d249ab30ae681359a7815fdb5d3dc71a94be1d491006a6b27";
    assert_eq!(document.hash.to_string(), expected);
}

#[test]
fn what_is_not_well_formed_is_refused_with_its_place() {
    for (record, expected) in [
        ("<artist><a></artist>", "<a> is closed by </artist> at byte 11 of the record"),
        ("<artist><a></aa></artist>", "<a> is closed by </aa> at byte 11 of the record"),
        ("<artist><a>", "an element that does not end at byte 8 of the record"),
        ("<artist a=1/>", "an attribute value without quotes at byte 10 of the record"),
        ("<artist a/>", "an attribute without a value at byte 8 of the record"),
        ("<artist a='1' b='2' a='3'/>", "an attribute that is there twice at byte 8 of the record"),
        ("<artist a='<'/>", "'<' in an attribute value at byte 11 of the record"),
        ("<artist a='1'b='2'/>", "a tag that does not end as a tag at byte 13 of the record"),
        ("<artist><></artist>", "something that is no name at byte 9 of the record"),
        ("<artist><@a/></artist>", "something that is no name at byte 9 of the record"),
        ("<artist><!-- </artist>", "markup that does not end at byte 8 of the record"),
        ("<artist><![CDATA[ </artist>", "markup that does not end at byte 8 of the record"),
        ("<artist><!x></artist>", "a declaration at byte 8 of the record"),
        ("<artist/>x", "something after its end at byte 9 of the record"),
        ("<artist>x</artist>", "the record has neither attributes nor children"),
        ("<artist/>", "the record has neither attributes nor children"),
        ("", "no tag at byte 0 of the record"),
    ] {
        let error = parse(Artists, record).unwrap_err();
        assert_eq!(error.to_string(), expected, "{record}");
    }
}

#[test]
fn many_attributes_are_told_apart_like_few() {
    let attributes: Vec<_> = (0..1_000).map(|n| format!(" a{n}='x'")).collect();
    let attributes = attributes.concat();
    assert!(parse(Artists, &format!("<artist{attributes}/>")).is_ok());
    assert!(parse(Artists, &format!("<artist{attributes} a500=''/>")).is_err());
}

#[test]
fn nesting_is_64_deep_and_no_deeper() {
    let nested = |depth: usize| {
        format!("<artist>{}{}</artist>", "<a>".repeat(depth - 1), "</a>".repeat(depth - 1))
    };
    assert!(parse(Artists, &nested(64)).is_ok());
    let error = parse(Artists, &nested(65)).unwrap_err();
    assert_eq!(error.to_string(), "an element nested deeper than 64 at byte 197 of the record");
}

/// Records with each way in which a string comes into a document.
const STRINGS: &[&[u8]] = &[
    b"<artist><a>plain text</a></artist>",
    b"<artist><a b='attribute' c='tab\t &amp; \r\n'/></artist>",
    b"<artist><a>controls \x01\x02 \"quotes\" and \\ </a></artist>",
    b"<artist><a>&amp;&#1;&#128512;&nbsp;&quot; \r\r\n</a></artist>",
    b"<artist><a><![CDATA[<b>&amp;\r\n\x01]]></a></artist>",
    b"<artist><a>one<b/>two &lt;<c/><![CDATA[three]]></a></artist>",
    b"<artist><na\x01me\\/><a_longer_name_than_eight_bytes/></artist>",
    b"<artist><a>not UTF-8: \xff \xe9\x9f &amp; \xc3</a><b c='\xff\t'/></artist>",
    b"<artist><a\xff>a name</a\xfe></artist>",
    b"<artist><members><name>x</name><name id='1'>y</name></members></artist>",
    b"<artist><a/><a/><a>x</a><b><c>y</c></b></artist>",
    b"<artist id='&quot;'><a/></artist>",
];

#[test]
fn a_document_may_be_as_large_as_the_limit_and_no_larger() {
    for record in STRINGS {
        let mut whole = Vec::new();
        Parser::new().parse(Artists, record, &mut whole).unwrap();
        let words = String::from_utf8_lossy(record);
        for limit in 0..whole.len() + 2 {
            let mut out = b"before".to_vec();
            let parsed = Parser::with_limit(limit).parse(Artists, record, &mut out);
            if limit < whole.len() {
                assert_eq!(parsed.unwrap_err(), Malformed::TooLarge { limit }, "{words}");
                assert_eq!(out, b"before", "{words}");
            } else {
                let document = parsed.unwrap();
                assert_eq!(&out[document.json], whole, "{words}");
            }
        }
    }
}

#[test]
fn what_is_too_large_is_not_made_first() {
    const LIMIT: usize = 300_000;
    let long = |bits: &[u8]| bits.repeat((4 << 20) / bits.len());
    for (before, bits, after) in [
        (&b"<artist><a>"[..], &b"\x01"[..], &b"</a></artist>"[..]),
        (b"<artist><a>", b"x", b"</a></artist>"),
        (b"<artist><a>", b"&#1;", b"</a></artist>"),
        (b"<artist><a>", b"\xff", b"</a></artist>"),
        (b"<artist><a>x", b"\r", b"</a></artist>"),
        (b"<artist><a><![CDATA[", b"\x01", b"]]></a></artist>"),
        (b"<artist><a>x<b/>", b"\x01", b"</a></artist>"),
        (b"<artist><a b='", b"\x01", b"'/></artist>"),
        (b"<artist><a b='", b"\t", b"'/></artist>"),
        (b"<artist><a", b"\x01", b"/></artist>"),
        (b"<artist><a", b"x", b"/></artist>"),
        (b"<artist>", b"<a>a short string</a>", b"</artist>"),
        (b"<artist>", b"<a><b/></a>", b"</artist>"),
        (b"<artist><members>", b"<name/>", b"</members></artist>"),
    ] {
        let mut out = Vec::new();
        let record = [before, &long(bits), after].concat();
        let error = Parser::with_limit(LIMIT).parse(Artists, &record, &mut out).unwrap_err();
        let words = String::from_utf8_lossy(bits);
        assert_eq!(error, Malformed::TooLarge { limit: LIMIT }, "{words:?}");
        assert!(out.capacity() < 4 * LIMIT, "{words:?}: {}", out.capacity());
    }
    let error = Malformed::TooLarge { limit: MAX_DOCUMENT };
    assert_eq!(error.to_string(), "the document is larger than 64 MiB");
}

#[test]
fn long_names_and_values_are_as_short_ones() {
    let long = "x".repeat(LONG + 1);
    let record = format!("<artist {long}='{long}'><{long}>{long}</{long}></artist>");
    let expected = format!("{{\"@{long}\":\"{long}\",\"{long}\":\"{long}\"}}");
    assert_eq!(json(Artists, &record), expected);
}

#[test]
fn what_a_huge_record_needed_is_given_back() {
    let mut parser = Parser::new();
    let record = format!("<artist>{}</artist>", "<a>x<b/>y</a>".repeat(100_000));
    parser.parse(Artists, record.as_bytes(), &mut Vec::new()).unwrap();
    assert!(parser.tree.nodes.capacity() <= KEPT_NODES);
    assert!(parser.tree.pieces.capacity() <= KEPT_NODES);
    assert!(parser.order.capacity() <= KEPT_NODES);
}

#[test]
fn an_id_is_64_kib_long_and_no_longer() {
    let record = |id: &str| format!("<artist id='{id}'><a/></artist>");
    let longest = "x".repeat(MAX_ID);
    assert_eq!(*parse(Artists, &record(&longest)).unwrap().1.id, *longest);
    for id in ["y", "&amp;"] {
        let error = parse(Artists, &record(&format!("{longest}{id}"))).unwrap_err();
        assert_eq!(error.to_string(), "the record's id is longer than 64 KiB");
    }
}

#[test]
fn pieces_of_text_are_counted_like_elements_but_references_are_none() {
    let record =
        |inner: &str, times| format!("<artist><a><!-- -->x{}</a></artist>", inner.repeat(times));
    let references = record("&amp;", MAX_NODES + 1);
    assert_eq!(json(Artists, &references).len(), MAX_NODES + r#"{"a":"x&"}"#.len());
    let error = parse(Artists, &record("<?p?>x", MAX_NODES)).unwrap_err().to_string();
    assert!(error.starts_with("more elements, attributes and pieces of text"), "{error}");
}

#[test]
fn invalid_utf8_in_names_is_replaced_unless_the_record_is_huge() {
    let mut parser = Parser::new();
    let mut out = Vec::new();
    let parsed = parser.parse(Artists, b"<artist><b\xff/><b\xc3>x</b\xfe></artist>", &mut out);
    parsed.unwrap();
    assert_eq!(String::from_utf8_lossy(&out), "{\"b\u{fffd}\":[null,\"x\"]}");
    let huge = [&b"<artist><b\xff/>"[..], &vec![b'x'; MAX_COPY], b"</artist>"].concat();
    let error = parser.parse(Artists, &huge, &mut out).unwrap_err().to_string();
    assert!(error.starts_with("a name that is not UTF-8"), "{error}");
    let huge = [&b"<artist><b>\xff"[..], &vec![b'x'; MAX_COPY], b"<!----></b></artist>"].concat();
    assert!(parser.parse(Artists, &huge, &mut out).is_ok(), "in a value it needs no copy");
}
