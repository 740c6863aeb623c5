//! Records with comments, CDATA or processing instructions, taken apart by quick-xml. What its
//! events mean for the tree is decided in `scan`, so that both ways lead to the same documents.

use quick_xml::Reader;
use quick_xml::errors::SyntaxError;
use quick_xml::events::Event;

use super::scan::{Fault, Scan, syntax, trailing};
use super::value::Form;

const CDATA: usize = "<![CDATA[".len();
const CDATA_END: usize = "]]>".len();

/// Reads the one element that `record` is.
pub(super) fn read(record: &str, mut scan: Scan<'_>) -> Result<(), Fault> {
    let mut reader = Reader::from_str(record);
    let config = reader.config_mut();
    // The scan looks at tags itself, and has better words for what is wrong with them.
    config.check_end_names = false;
    config.allow_unmatched_ends = true;
    config.allow_dangling_amp = true;
    let mut begun = false;
    // Where the text begins that is not handed on yet: a reference in it is an event of its own,
    // but no piece. 20 million of them took 350 MiB.
    let mut text = None;
    loop {
        let start = place(&reader);
        let event = reader.read_event();
        let end = place(&reader);
        if begun && scan.is_closed() {
            return match event {
                Ok(Event::Eof) => Ok(()),
                _ => Err(trailing(start)),
            };
        }
        if let Ok(Event::Text(_) | Event::GeneralRef(_)) = event {
            text.get_or_insert(start);
            continue;
        }
        if let Some(from) = text.take() {
            scan.text_at(from, start, Form::Text)?;
        }
        match event {
            Ok(Event::Start(_) | Event::Empty(_)) => {
                begun = true;
                agreed(scan.start_tag(start)?, end)?;
            }
            Ok(Event::End(_)) => agreed(scan.end_tag(start)?, end)?,
            Ok(Event::CData(_)) => scan.text_at(start + CDATA, end - CDATA_END, Form::Cdata)?,
            Ok(
                Event::Text(_)
                | Event::GeneralRef(_)
                | Event::Comment(_)
                | Event::PI(_)
                | Event::Decl(_),
            ) => {}
            Ok(Event::DocType(_)) => return Err(syntax("a declaration", start)),
            Ok(Event::Eof) => return Err(scan.unclosed()),
            Err(quick_xml::Error::Syntax(SyntaxError::InvalidBangMarkup)) => {
                return Err(syntax("a declaration", start));
            }
            Err(_) => return Err(syntax("markup that does not end", start)),
        }
    }
}

/// Both ways must see the same end of a tag, or one of them is wrong about what it is.
fn agreed(ours: usize, theirs: usize) -> Result<(), Fault> {
    if ours == theirs { Ok(()) } else { Err(syntax("a tag that does not end as a tag", ours)) }
}

fn place(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}
