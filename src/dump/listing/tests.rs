use super::*;

const ARTISTS: &str = "discogs_20260101_artists.xml.gz";

fn read_at(text: &str, page: &str) -> Listing {
    let page: Url = page.parse().unwrap();
    let root = bare(&page);
    read(text, &page, &root)
}

fn places(listing: &Listing) -> Vec<&str> {
    listing.files.iter().map(|file| file.place.as_str()).collect()
}

fn folders(listing: &Listing) -> Vec<(&str, &str)> {
    listing.folders.iter().map(|folder| (folder.name.as_str(), folder.url.as_str())).collect()
}

#[test]
fn the_public_site_lists_years_and_then_files() {
    let years =
        r#"<a href="?prefix=data%2F2025%2F">2025/</a> <a href='?prefix=data%2F2026%2F'>x</a>"#;
    let listing = read_at(years, "https://data.example/");
    assert_eq!(
        folders(&listing),
        [
            ("2025", "https://data.example/?prefix=data%2F2025%2F"),
            ("2026", "https://data.example/?prefix=data%2F2026%2F")
        ]
    );
    let files = format!(
        "<A HREF=\"?download=data%2F2026%2F{ARTISTS}\">a</A><a href=\"?prefix=data%2F\">up</a>"
    );
    let listing = read_at(&files, "https://data.example/?prefix=data%2F2026%2F");
    let place = format!("https://data.example/?download=data%2F2026%2F{ARTISTS}");
    assert_eq!(places(&listing), [place]);
    assert_eq!(listing.files[0].name, ARTISTS);
    assert_eq!(listing.folders, []);
}

#[test]
fn a_folder_index_has_relative_and_absolute_links() {
    let text = format!(
        "<a href=\"../\">..</a> <a href=\"?C=N;O=D\">Name</a> <a class=x href={ARTISTS}>a</a>
         <a href=\"/dumps/b.gz\">b</a> <a href=\"http://h:8000/dumps/2026/c.gz#top\">c</a>
         <a href=\"2026/\">2026/</a> <a href=\"/\">root</a>"
    );
    let listing = read_at(&text, "http://h:8000/dumps/");
    let expected = ["discogs_20260101_artists.xml.gz", "b.gz", "2026/c.gz"];
    assert_eq!(places(&listing), expected.map(|file| format!("http://h:8000/dumps/{file}")));
    assert_eq!(folders(&listing), [("2026", "http://h:8000/dumps/2026/")]);
}

#[test]
fn what_leads_elsewhere_is_left_out() {
    let hrefs = [
        "http://other/dumps/a.gz",
        "https://h/dumps/a.gz",
        "//other/dumps/a.gz",
        "/elsewhere/a.gz",
        "../a.gz",
        "%2e%2e/a.gz",
        "?download=../a.gz",
        "?download=data/../../a.gz",
        "?download=/etc/passwd",
        "?download=data%2F..%2Fa.gz",
        "/other?download=data/a.gz",
        "?prefix=../",
        "?prefix=",
        "mailto:a@b",
        "javascript:alert(1)",
        "//",
        "a\\..\\b//c.gz",
    ];
    for href in hrefs {
        let listing = read_at(&format!("<a href=\"{href}\">x</a>"), "http://h/dumps/");
        assert_eq!(listing, Listing::default(), "{href}");
    }
}

#[test]
fn the_user_goes_along_with_the_sites_own_links() {
    let text = "<a href=\"http://h/a.gz\">a</a>";
    assert_eq!(places(&read_at(text, "http://me:secret@h/")), ["http://me:secret@h/a.gz"]);
}

#[test]
fn an_object_store_lists_keys_prefixes_and_pages() {
    let text = format!(
        "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><IsTruncated>true</IsTruncated>
         <Contents><Key>data/2026/{ARTISTS}</Key><Size>77</Size></Contents>
         <Contents><Key>../up.gz</Key><Size>1</Size></Contents>
         <Contents><Key>data/a&amp;b c.gz</Key></Contents>
         <CommonPrefixes><Prefix>data/2025/</Prefix></CommonPrefixes>
         <NextContinuationToken>t/1=</NextContinuationToken></ListBucketResult>"
    );
    let listing = read_at(&text, "http://s3/bucket/?prefix=data%2F");
    let (first, second) =
        (format!("http://s3/bucket/data/2026/{ARTISTS}"), "http://s3/bucket/data/a&b%20c.gz");
    assert_eq!(places(&listing), [first.as_str(), second]);
    assert_eq!(listing.files[0].size, Some(77));
    let folder = "http://s3/bucket/?prefix=data%2F2025%2F&delimiter=%2F";
    assert_eq!(folders(&listing), [("2025", folder)]);
    let more = "http://s3/bucket/?prefix=data%2F&continuation-token=t%2F1%3D&list-type=2";
    assert_eq!(listing.more.unwrap().as_str(), more);
}

#[test]
fn the_older_listing_goes_on_after_its_marker_or_its_last_key() {
    let text = |marker: &str| {
        format!(
            "<ListBucketResult><IsTruncated>true</IsTruncated>{marker}
             <Contents><Key>k</Key></Contents></ListBucketResult>"
        )
    };
    for (marker, expected) in [("<NextMarker>m</NextMarker>", "m"), ("", "k")] {
        let listing = read_at(&text(marker), "http://s3/?marker=before&prefix=p");
        let more = format!("http://s3/?prefix=p&marker={expected}");
        assert_eq!(listing.more.unwrap().as_str(), more);
    }
    let whole = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    assert_eq!(read_at(whole, "http://s3/"), Listing::default());
}
