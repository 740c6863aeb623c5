//! How the page looks and what it says to those who listen, with all that it can have at once.

use std::collections::BTreeSet;

use discogs_extractor::model::{DumpName, GzipOffset, Identity, Kind, Live, Phase, WaitsFor};
use discogs_extractor::observe::{FileNow, Speed, Stage};
use discogs_extractor::state::FileKey;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::server::{Server, complete, extracting, job, now};
use crate::{DRIVER, nothing_is_wrong};

/// Phones, tablets, and windows of all sizes.
const WIDTHS: [u32; 11] = [320, 390, 600, 768, 900, 1024, 1180, 1216, 1217, 1280, 1920];

/// All elements with text whose contrast with what is behind them is too small, each as a line.
/// The browser mixes the colours itself: what is behind a text is painted first, then the text.
const FAINT: &str = r"
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const luminance = colours => {
        canvas.fillStyle = '#fff';
        canvas.fillRect(0, 0, 1, 1);
        for (const colour of colours) {
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
        }
        const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map(byte => {
            const part = byte / 255;
            return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const faint = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
        const style = getComputedStyle(element);
        const behind = [];
        let opacity = 1;
        for (let at = element; at; at = at.parentElement) {
            behind.unshift(getComputedStyle(at).backgroundColor);
            opacity *= getComputedStyle(at).opacity;
        }
        const [one, other] = [luminance(behind), luminance([...behind, style.color])];
        const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        const size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        if (contrast < (large ? 3 : 4.5) || opacity < 1) {
            faint.push(`${texts.currentNode.data}: ${contrast.toFixed(2)}, opacity ${opacity}`);
        }
    }
    return faint;";

/// What reaches over the window's edge or out of its own box, each as a line.
const CUT_OFF: &str = r"
    const cut = [];
    for (const element of document.querySelectorAll('body, body *')) {
        const style = getComputedStyle(element);
        // What only those who listen get.
        if (element.closest('[hidden]') || style.clipPath !== 'none'
            || element.parentElement.closest('thead, .none')) continue;
        const box = element.getBoundingClientRect();
        const out = box.left < -0.5 || box.right > innerWidth + 0.5;
        const over = style.display !== 'inline' && element.scrollWidth > element.clientWidth + 1
            && !element.closest('svg');
        if (out || over) cut.push(`${element.tagName} ${element.textContent} ${box.left} to ${box.right}`);
    }
    if (document.scrollingElement.scrollWidth > innerWidth) cut.push('it scrolls sideways');
    return cut;";

#[track_caller]
fn lines(browser: &Browser, script: &str) -> Vec<String> {
    serde_json::from_value(browser.run(script)).unwrap()
}

/// Texts that cannot be read well, or that shine through.
#[track_caller]
pub fn too_faint(browser: &Browser) -> Vec<String> {
    lines(browser, FAINT)
}

/// A server that shows a file in each phase, with numbers as long as they get, a stall for a long
/// reason, and runs that ended in several ways.
fn everything() -> Server {
    let server = Server::new();
    let version = "20260101".parse().unwrap();
    for (kind, error) in [
        (Kind::Artists, "the checksum is another one than the published one: 7f83b1657ff1fc53b9"),
        (Kind::Labels, "stopped"),
    ] {
        let key = FileKey::new(job(), DumpName { version, kind });
        let identity = Identity::Content { size: 11 << 30, ends: [7; 32] };
        server.runtime.block_on(async {
            server.keeper.begin(key.clone(), identity, None, now()).await.unwrap();
            server.keeper.fail(key, error.to_owned(), false, now()).await.unwrap();
        });
    }
    let path = "/var/lib/discogs-extractor/a-rather-long-name/of-a-folder/discogs.db-journal";
    let large = |file: FileNow| FileNow {
        size: 11_234_567_890,
        speed: Speed { records: 21_345.6, bytes: 1e6 },
        live: Live { records: 19_123_456, gzip: GzipOffset(10_234_567_890), ..file.live },
        ..file
    };
    let stalled = large(extracting(Kind::Releases, 0));
    let waits_for = WaitsFor::SinkBlocked(format!("cannot write {path}: no space left on device"));
    let live = Live { waits_for, ..stalled.live };
    let stalled = FileNow { live, stalled: true, downloaded: Some(10_300_000_000), ..stalled };
    let failed = extracting(Kind::Artists, 7);
    let failed = FileNow { live: Live { phase: Phase::Failed, ..failed.live }, ..failed };
    let (busy, done) = (large(extracting(Kind::Masters, 0)), large(complete(Kind::Labels, 0)));
    server.show(Stage::Running, vec![stalled, busy, done, failed]);
    server
}

#[test]
fn nothing_is_cut_off_or_too_faint_on_any_screen_in_light_and_dark() {
    let server = everything();
    let browser = Browser::at(DRIVER);
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        browser.open(server.address);
        browser.shows("is stalled: sink blocked: cannot write /var/lib");
        let paper = browser.run("return getComputedStyle(document.body).backgroundColor");
        assert_eq!(paper == "rgb(255, 255, 255)", scheme == "light", "{paper}");
        for width in WIDTHS {
            browser.resize(width, 844);
            let cut = lines(&browser, CUT_OFF);
            assert_eq!(cut, Vec::<String>::new(), "{width} wide");
            assert_eq!(too_faint(&browser), Vec::<String>::new(), "{scheme}, {width} wide");
        }
    }
    nothing_is_wrong(&browser, server.address);
}

#[test]
fn columns_stay_where_they_are_while_numbers_grow() {
    let server = Server::new();
    let browser = Browser::at(DRIVER);
    browser.resize(1280, 900);
    let show = |records: u64| {
        let file = extracting(Kind::Releases, records);
        let speed = Speed { records: 1.0, bytes: 1.0 };
        server.show(Stage::Running, vec![FileNow { speed, ..file }, complete(Kind::Labels, 7)]);
    };
    let places = "return [...document.querySelector('table').querySelectorAll('th, td')].map(\
        cell => cell.getBoundingClientRect()).map(box => [box.left, box.top])";
    show(1);
    browser.open(server.address);
    browser.shows("running");
    let before = browser.run(places);
    show(9_876_543);
    browser.until("return document.body.innerText.includes('543')");
    assert_eq!(browser.run(places), before);
}

/// What the browser tells a screen reader: role and name of each thing.
fn told(browser: &Browser) -> BTreeSet<(String, String)> {
    let tree = browser.command("Accessibility.getFullAXTree", &json!({}));
    let nodes = tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] == false);
    let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
    nodes.map(|node| (text(&node["role"]), text(&node["name"]))).collect()
}

#[test]
fn a_screen_reader_is_told_what_is_where_on_any_screen() {
    let server = everything();
    let browser = Browser::at(DRIVER);
    browser.open(server.address);
    browser.shows("running, stalled");
    for width in [390, 1280] {
        browser.resize(width, 844);
        let told = told(&browser);
        for (role, name) in [
            ("main", ""),
            ("heading", "discogs-extractor"),
            ("heading", "Files"),
            ("heading", "Owed"),
            ("heading", "Last runs"),
            ("table", "Files"),
            ("table", "Last runs"),
            ("columnheader", "Progress"),
            ("columnheader", "Completed"),
            ("rowheader", "discogs_20260101_releases.xml.gz"),
            ("cell", "stalled, downloading"),
            ("status", "needs attention"),
            ("progressbar", "done"),
        ] {
            let wanted = (role.to_owned(), name.to_owned());
            assert!(told.contains(&wanted), "{wanted:?} at {width} in {told:#?}");
        }
        let nameless = |role: &str| told.contains(&(role.to_owned(), String::new()));
        for role in ["table", "columnheader", "rowheader", "progressbar", "image", "heading"] {
            assert!(!nameless(role), "a {role} has no name");
        }
    }
    let live = browser.run(
        "return [...document.querySelectorAll('[role=status], [role=alert]')].map(e => \
         e.className || e.id)",
    );
    assert_eq!(live, json!(["lost", "stage stalled", "alerts"]));
}
