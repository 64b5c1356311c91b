//! The requests of a run: one that is sent again and again, or those of a file in turns.
//!
//! A file has a line for each request: host, path and fields (`NAME: VALUE`), with tabs between
//! them. It is remembered which group answered each line first, so that a run can tell how many
//! lines were answered by more than one: of a sticky user that must never happen.

use crate::arguments::Arguments;
use std::fs;

/// What is the same for all requests of a run.
pub struct Shape {
    /// The host of those that name none.
    pub host: String,
    /// The bytes that are asked for, by the path of those that name none.
    pub size: usize,
    /// Whether each has a connection of its own.
    pub closes: bool,
    /// The length of a body; without one, a request is a GET.
    pub body: Option<usize>,
}

/// The requests, and who answered them.
pub struct Requests {
    whole: Vec<Vec<u8>>,
    next: usize,
    answered_by: Vec<Option<usize>>,
    wavers: Vec<bool>,
}

impl Requests {
    /// Makes those that `--requests FILE` tells, or else the one that `shape` tells.
    ///
    /// # Errors
    /// When the file cannot be read, has no line, or one of them has no path.
    pub fn new(arguments: &Arguments, shape: &Shape) -> Result<Self, String> {
        let everywhere: Vec<&str> = arguments.all("header").collect();
        let whole = match arguments.one::<String>("requests")? {
            Some(file) => {
                let text = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
                let lines = text.lines().enumerate();
                let read = lines.map(|(at, line)| {
                    request(line, shape, &everywhere)
                        .ok_or_else(|| format!("{file}:{}: no path", at + 1))
                });
                read.collect::<Result<Vec<_>, _>>()?
            }
            None => {
                let line = format!("{}\t/{}", shape.host, shape.size);
                request(&line, shape, &everywhere).into_iter().collect()
            }
        };
        if whole.is_empty() {
            return Err("there is no request in the file of --requests".to_owned());
        }
        Ok(Self {
            next: 0,
            answered_by: vec![None; whole.len()],
            wavers: vec![false; whole.len()],
            whole,
        })
    }

    /// The number of the request whose turn it is.
    pub fn turn(&mut self) -> usize {
        let turn = self.next;
        self.next = (turn + 1) % self.whole.len();
        turn
    }

    /// The bytes of one request, its body included.
    pub fn bytes(&self, number: usize) -> &[u8] {
        &self.whole[number]
    }

    /// Notes that a group answered a request.
    pub fn answered(&mut self, number: usize, group: usize) {
        let first = *self.answered_by[number].get_or_insert(group);
        self.wavers[number] |= first != group;
    }

    /// How many requests there are that were answered by more than one group.
    pub fn n_wavering(&self) -> usize {
        self.wavers.iter().filter(|&&wavers| wavers).count()
    }

    /// How many different requests there are.
    pub fn len(&self) -> usize {
        self.whole.len()
    }
}

/// One whole request; `None` when the line has no path.
fn request(line: &str, shape: &Shape, everywhere: &[&str]) -> Option<Vec<u8>> {
    let mut words = line.split('\t');
    let host = words.next().filter(|host| !host.is_empty());
    let host = host.unwrap_or(&shape.host);
    let path = words.next().filter(|path| path.starts_with('/'))?;
    let method = if shape.body.is_some() { "POST" } else { "GET" };
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
    for field in words.chain(everywhere.iter().copied()) {
        text.push_str(field);
        text.push_str("\r\n");
    }
    if shape.closes {
        text.push_str("connection: close\r\n");
    }
    if let Some(length) = shape.body {
        text.push_str(&format!("content-length: {length}\r\n"));
    }
    text.push_str("\r\n");
    let mut whole = text.into_bytes();
    whole.resize(whole.len() + shape.body.unwrap_or(0), b'x');
    Some(whole)
}

#[cfg(test)]
mod tests {
    use crate::requests::{Requests, Shape, request};

    fn shape(body: Option<usize>) -> Shape {
        Shape {
            host: "a".to_owned(),
            size: 200,
            closes: false,
            body,
        }
    }

    #[test]
    fn a_line_is_a_host_a_path_and_fields() {
        let found = request("b\t/p/200\tx: 1\ty: 2", &shape(None), &["z: 3"]).unwrap();
        let expected = "GET /p/200 HTTP/1.1\r\nhost: b\r\nx: 1\r\ny: 2\r\nz: 3\r\n\r\n";
        assert_eq!(String::from_utf8(found).unwrap(), expected);
        assert_eq!(request("b", &shape(None), &[]), None);
        assert_eq!(request("b\tp", &shape(None), &[]), None);
    }

    #[test]
    fn a_body_makes_it_a_post() {
        let found = request("\t/200", &shape(Some(3)), &[]).unwrap();
        let expected = "POST /200 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nxxx";
        assert_eq!(String::from_utf8(found).unwrap(), expected);
    }

    #[test]
    fn requests_take_turns_and_waver_only_between_groups() {
        let mut requests = Requests {
            whole: vec![vec![1], vec![2]],
            next: 0,
            answered_by: vec![None; 2],
            wavers: vec![false; 2],
        };
        assert_eq!([0; 3].map(|_| requests.turn()), [0, 1, 0]);
        requests.answered(0, 1);
        requests.answered(0, 1);
        requests.answered(1, 0);
        assert_eq!(requests.n_wavering(), 0);
        requests.answered(1, 1);
        assert_eq!(requests.n_wavering(), 1);
    }
}
