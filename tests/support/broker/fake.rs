//! As much of a broker as a publisher needs, which does as a test says: when it reads, what it
//! confirms in which frame, what it sends back.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use rustix::net::sockopt::set_socket_recv_buffer_size;

/// Frame types.
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const END: u8 = 0xce;

/// What a body may have in one frame, with the frame around it.
const FRAME_MAX: u32 = 128 << 10;

/// The smallest buffer there is. The system still takes 1.7 MB for a connection that nobody reads
/// from, with its own choice 4.2 MB.
const RECEIVE_BUFFER: usize = 1;

/// A listener that serves one connection.
pub struct Fake(TcpListener);

/// A connection to one publisher.
pub struct Wire {
    stream: TcpStream,
    /// Messages published so far on each channel.
    published: HashMap<u16, u64>,
}

/// A message of which the body was not read yet.
pub struct Head {
    pub channel: u16,
    pub exchange: String,
    /// By which it is confirmed.
    pub tag: u64,
    /// Bytes of the body.
    pub size: u64,
    /// The content header as it came.
    header: Vec<u8>,
}

struct Frame {
    kind: u8,
    channel: u16,
    payload: Vec<u8>,
}

impl Fake {
    pub fn listen() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        set_socket_recv_buffer_size(&listener, RECEIVE_BUFFER).unwrap();
        Fake(listener)
    }

    pub fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// The next connection, which is greeted.
    pub fn accept(&self) -> Wire {
        let mut stream = self.0.accept().unwrap().0;
        let mut greeting = [0; 8];
        stream.read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting, b"AMQP\x00\x00\x09\x01");
        let mut wire = Wire { stream, published: HashMap::new() };
        let start = [&[0, 9, 0, 0, 0, 0][..], &long("PLAIN"), &long("en_US")].concat();
        wire.call(0, (10, 10), &start);
        wire
    }
}

impl Wire {
    /// The next message that is published, up to its content header. Everything else that is asked
    /// for is granted on the way; none once the connection is closed.
    pub fn next(&mut self) -> Option<Head> {
        loop {
            let frame = self.frame()?;
            if frame.kind != METHOD {
                continue;
            }
            let channel = frame.channel;
            let number = |at: usize| u16::from_be_bytes([frame.payload[at], frame.payload[at + 1]]);
            match (number(0), number(2)) {
                (60, 40) => return self.head(channel, &frame.payload[4..]),
                (10, 40) => self.call(0, (10, 41), &[0]),
                (20, 10) => self.call(channel, (20, 11), &[0; 4]),
                (20, 40) => {
                    self.published.remove(&channel);
                    self.call(channel, (20, 41), &[]);
                }
                (40, 10) => self.call(channel, (40, 11), &[]),
                (85, 10) => self.call(channel, (85, 11), &[]),
                (10, 50) => self.call(0, (10, 51), &[]),
                (10, 11) => {
                    let frame_max = FRAME_MAX.to_be_bytes();
                    let tune = [&2047_u16.to_be_bytes()[..], &frame_max, &[0, 0]].concat();
                    self.call(0, (10, 30), &tune);
                }
                (10, 31) => {}
                other => panic!("the fake broker does not know {other:?}"),
            }
        }
    }

    fn head(&mut self, channel: u16, publish: &[u8]) -> Option<Head> {
        let exchange = &publish[3..3 + usize::from(publish[2])];
        let exchange = String::from_utf8(exchange.to_vec()).unwrap();
        let header = self.frame()?;
        assert_eq!((header.kind, header.channel), (HEADER, channel));
        let tag = self.published.entry(channel).or_default();
        *tag += 1;
        let size = u64::from_be_bytes(header.payload[4..12].try_into().unwrap());
        Some(Head { channel, exchange, tag: *tag, size, header: header.payload })
    }

    /// The body of the message whose head came last.
    pub fn body(&mut self, head: &Head) -> Vec<u8> {
        let mut body = Vec::new();
        while (body.len() as u64) < head.size {
            let frame = self.frame().unwrap();
            assert_eq!((frame.kind, frame.channel), (BODY, head.channel));
            body.extend(frame.payload);
        }
        body
    }

    /// Confirms one message, or it and all before it.
    pub fn ack(&mut self, channel: u16, tag: u64, all_before: bool) {
        let arguments = [&tag.to_be_bytes()[..], &[u8::from(all_before)]].concat();
        self.call(channel, (60, 80), &arguments);
    }

    /// Sends back a message that no queue takes. It is not confirmed by that.
    pub fn send_back(&mut self, head: &Head, body: &[u8]) {
        let words =
            [&312_u16.to_be_bytes()[..], &short("NO_ROUTE"), &short(&head.exchange), &short("")];
        self.call(head.channel, (60, 50), &words.concat());
        self.write(HEADER, head.channel, &head.header);
        self.write(BODY, head.channel, body);
    }

    fn call(&mut self, channel: u16, (class, method): (u16, u16), arguments: &[u8]) {
        let name = [class.to_be_bytes(), method.to_be_bytes()].concat();
        self.write(METHOD, channel, &[&name, arguments].concat());
    }

    /// A publisher that is gone is noticed when it is read from.
    fn write(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&[kind][..], &channel.to_be_bytes(), &size].concat();
        _ = self.stream.write_all(&[&head, payload, &[END]].concat());
    }

    fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 7];
        self.stream.read_exact(&mut head).ok()?;
        let [kind, channel @ .., a, b, c, d] = head;
        let size = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap();
        let mut payload = vec![0; size + 1];
        self.stream.read_exact(&mut payload).ok()?;
        assert_eq!(payload.pop(), Some(END));
        Some(Frame { kind, channel: u16::from_be_bytes(channel), payload })
    }
}

fn short(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

fn long(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}
