//! The vocabulary. Lists that are drawn from with a skew have their commonest words first.

/// Words of notes, profiles and descriptions.
pub(super) const PROSE: &str = "the and of in by on a to for from with is was as at at this are recorded \
music label records release released all not which other side also produced mixed an first vinyl his \
track tracks published under mastered artist studio original that written be one version name it \
sleeve catalogue back number made cover band its record album based only printed has he been some or \
their were after press electronic pressing who but two copyright founded between live same edition \
credited known more promo copies limited dance guitar group also see another without including \
inner rights members time label's out DJ did where new year had techno house singer member issued \
distributed special later producer started design years company together mixes early both short \
single second later than through compilation until since title song songs project numbered black \
digital used owned work various label, last small party radio during insert hand series may set \
sound club most city into part up when producer, long several three local white these can about \
tapes came she her tape, machine solo voice drums synth bass keyboard piano players orchestra \
conductor choir strings brass flute organ percussion sampler loop remix remixer engineer studio's \
assistant photographer artwork layout sticker shrink barcode matrix runout etched stamped machine-cut \
spine tracklist misprint misspelled repress reissue bootleg unofficial counterfeit test acetate \
flexi gatefold obi booklet foldout poster postcard lyrics translation liner essay interview archive \
lacquer mother stamper galvanics plant factory warehouse mail-order distribution importer exporter \
licence manufactured marketed courtesy exclusive worldwide territory agreement society collecting \
north south east west harbour river mountain valley station tower garden winter summer autumn spring \
morning evening midnight dawn dusk northern southern ambient minimal drone noise folk traditional \
opera chamber symphony quartet trio duet suite overture prelude fugue sonata requiem mass hymn psalm \
quarterly fanzine broadcast session rehearsal concert festival tour stage theatre cinema soundtrack \
library commercial advertisement jingle speech poem reading lecture field birds rain thunder insects \
analogue modular sequencer oscillator filter tremolo reverb echo delay chorus phaser compressor \
cassette reel quarter-inch half-speed stereo mono quadraphonic binaural dubplate seven-inch \
ten-inch twelve-inch picture shaped coloured marbled splatter translucent opaque heavyweight";

/// Words of titles and of names of groups and labels.
pub(super) const TITLE: &str = "The Love Of Night You Mix My In Me Time A Dub Blue Dream Sun To Black Life \
Your Vol. Music World Dance Original Light Moon I City On Sky Heart Live Fire Star Deep Soul House \
Red Rain EP Song Day Eyes Water Space Sound White Dark Dreams Man Girl Home Road One No Two Wild \
Silver Gold Electric Golden Lost Summer Winter River Ocean Stone Paper Glass Iron Velvet Satellite \
Signal Machine Motor Garden Mirror Shadow Echo Silence Thunder Lantern Harbour Island Desert Forest \
Mountain Valley Bridge Tower Station Engine Compass Horizon Meridian Orbit Eclipse Aurora Comet \
Nebula Quasar Photon Vector Matrix Cipher Phantom Carousel Parade Circus Cabaret Waltz Tango Rumba \
Serenade Nocturne Prelude Lullaby Ballad Anthem Hymn Psalm Requiem Overture Rhapsody Fantasia \
Tales Letters Pictures Stories Memories Promises Secrets Strangers Angels Demons Wolves Foxes Ravens \
Swallows Horses Tigers Butterflies Roses Lilies Thorns Feathers Diamonds Crystals Ashes Embers Smoke \
Dust Sand Salt Honey Sugar Cinnamon Saffron Indigo Crimson Scarlet Amber Emerald Sapphire Pearl";

/// Given names, Latin with and without marks.
pub(super) const GIVEN: &str = "John Paul David Peter Michael Mark Anna Maria Thomas Chris Martin Robert James \
Daniel Andreas Jean José Stefan Jürgen Björn Søren François Zoë Renée Łukasz Małgorzata Jiří Dvořák \
Ömer Şule Gábor Zsófia João Conceição Núria Íñigo Åse Øyvind Þóra Ragnar Ioana Ștefan Ana Luka Željko \
Mária Ľuboš Anaïs Noël Chloé Günther Heidi Kwame Ngozi Amara Tevita Malia Hana Yuki Minh Nguyễn Linh";

/// What surnames and made-up words consist of.
pub(super) const SYLLABLES: &str = "an er in el or ar is en al on ka ma ta ra la na sa ri li ni to lo no mo ro \
ber ger man son sen ski vic dal hol lund berg feld stein wald brook ford ton ham ley wood mar tor vin \
kel bro sta gra fri hel jan kov ler mel nor ost per qui rus sel tin ul ver wil xan yor zel cha dre";

/// Words in scripts other than Latin, one line a script; whether they are set apart by spaces.
pub(super) const SCRIPTS: [(&str, bool); 10] = [
    (
        "Ночь Море Дорога Сердце Зима Город Песня Свет Ветер Звезда Река Поезд Мечта Дождь Огонь",
        true,
    ),
    ("夜 海 東京 さくら 夢 ひかり 音楽 カセット ラジオ 電子 風 月 空 うた レコード", false),
    ("Νύχτα Θάλασσα Δρόμος Καρδιά Φως Ήλιος Τραγούδι Άνεμος Όνειρο Πόλη Βροχή Αστέρι", true),
    ("밤 바다 서울 사랑 꿈 빛 노래 바람 별 기차 하늘 소리", true),
    ("月亮 大海 城市 夜晚 音樂 唱片 電臺 風雨 星星 时间 远方 梦想", false),
    ("ليل بحر قلب نور مدينة أغنية حلم نجمة مطر طريق", true),
    ("לילה ים לב אור עיר שיר חלום כוכב גשם דרך", true),
    ("คืน ทะเล หัวใจ แสง เมือง เพลง ความฝัน ดาว ฝน ถนน", false),
    ("रात सागर दिल रोशनी शहर गीत सपना तारा बारिश राह", true),
    ("🎶 🌙 🔥 🚀 ✨ 🎧 💿 🌊 👩‍🚀 🏴‍☠️", false),
];

/// Characters that notes and titles are fond of.
pub(super) const SIGNS: [&str; 12] =
    ["–", "’", "“", "”", "·", "℗", "©", "…", "×", "⅓", "\u{200e}–", "™"];

pub(super) const QUALITIES: [&str; 6] = [
    "Needs Vote",
    "Correct",
    "Complete and Correct",
    "Needs Minor Changes",
    "Needs Major Changes",
    "Entirely Incorrect",
];

pub(super) const GENRES: [&str; 15] = [
    "Electronic",
    "Rock",
    "Pop",
    "Folk, World, & Country",
    "Jazz",
    "Hip Hop",
    "Funk / Soul",
    "Classical",
    "Reggae",
    "Latin",
    "Stage & Screen",
    "Blues",
    "Non-Music",
    "Children's",
    "Brass & Military",
];

pub(super) const STYLES: [&str; 36] = [
    "House",
    "Techno",
    "Deep House",
    "Ambient",
    "Experimental",
    "Synth-pop",
    "Pop Rock",
    "Alternative Rock",
    "Punk",
    "Tech House",
    "Minimal",
    "Downtempo",
    "Drum n Bass",
    "Trance",
    "Disco",
    "Soul",
    "Funk",
    "Indie Rock",
    "Folk",
    "Ballad",
    "Chanson",
    "Schlager",
    "Vocal",
    "Hard Bop",
    "Free Jazz",
    "Dub",
    "Roots Reggae",
    "Baroque",
    "Romantic",
    "Contemporary",
    "Soundtrack",
    "Breakbeat",
    "Noise",
    "Field Recording",
    "Spoken Word",
    "Musique Concrète",
];

pub(super) const COUNTRIES: [&str; 20] = [
    "US",
    "UK",
    "Germany",
    "Japan",
    "France",
    "Italy",
    "Europe",
    "Netherlands",
    "Canada",
    "Sweden",
    "Spain",
    "USSR",
    "Brazil",
    "UK & Europe",
    "Yugoslavia",
    "Côte d'Ivoire",
    "South Korea",
    "Israel",
    "Greece",
    "Trinidad & Tobago",
];

pub(super) const ROLES: [&str; 24] = [
    "Written-By",
    "Producer",
    "Remix",
    "Mastered By",
    "Producer, Written-By",
    "Vocals",
    "Guitar",
    "Design",
    "Engineer",
    "Mixed By",
    "Photography By",
    "Bass",
    "Drums",
    "Lacquer Cut By",
    "Artwork",
    "Music By, Lyrics By",
    "Executive-Producer",
    "Keyboards",
    "Producer [Additional]",
    "Arranged By",
    "Liner Notes",
    "Conductor",
    "Recorded By [Assistant]",
    "Synthesizer [Roland \"Juno\" & Others]",
];

pub(super) const JOINS: [&str; 9] =
    ["&", ",", "Featuring", "/", "And", "Vs.", "With", "Presents", "×"];

/// Formats with the descriptions that go with them.
pub(super) const FORMATS: [(&str, &[&str]); 8] = [
    (
        "Vinyl",
        &["12\"", "33 ⅓ RPM", "LP", "45 RPM", "Album", "7\"", "EP", "Single", "Stereo", "Promo"],
    ),
    ("CD", &["Album", "Compilation", "Maxi-Single", "Reissue", "EP", "Promo", "Enhanced", "Mixed"]),
    ("Cassette", &["Album", "Compilation", "Limited Edition", "Mixtape", "Stereo"]),
    ("File", &["MP3", "FLAC", "WAV", "EP", "320 kbps", "Album"]),
    ("CDr", &["Promo", "Album", "Limited Edition", "Single Sided"]),
    ("DVD", &["DVD-Video", "PAL", "NTSC", "Multichannel"]),
    ("Box Set", &["Compilation", "Numbered", "Limited Edition"]),
    ("All Media", &[]),
];

/// What companies do on a release: the number and the name of the part.
pub(super) const ENTITY_TYPES: [(&str, &str); 12] = [
    ("13", "Phonographic Copyright (p)"),
    ("14", "Copyright (c)"),
    ("21", "Published By"),
    ("9", "Distributed By"),
    ("17", "Pressed By"),
    ("29", "Mastered At"),
    ("23", "Recorded At"),
    ("10", "Manufactured By"),
    ("27", "Mixed At"),
    ("6", "Licensed From"),
    ("33", "Lacquer Cut At"),
    ("19", "Marketed By"),
];

pub(super) const IDENTIFIERS: [&str; 9] = [
    "Matrix / Runout",
    "Barcode",
    "Rights Society",
    "Label Code",
    "Other",
    "Mastering SID Code",
    "Mould SID Code",
    "ISRC",
    "Depósito Legal",
];

pub(super) const SITES: [&str; 8] = [
    "https://www.facebook.example/",
    "https://soundcloud.example/",
    "https://www.youtube.example/channel/UC",
    "https://myspace.example/",
    "https://en.wikipedia.example/wiki/",
    "https://open.spotify.example/artist/",
    "http://www.last-fm.example/music/",
    "https://bandcamp.example/?ref=a&id=",
];
