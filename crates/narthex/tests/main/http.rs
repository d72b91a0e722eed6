//! Servers for the tests, and a client that shows exactly what was answered.

use crate::world::{Running, program};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// `narthex serve` over a state folder.
pub(crate) struct Serving {
    pub(crate) process: Running,
    pub(crate) url: String,
    pub(crate) public_key: String,
    log: PathBuf,
}

impl Serving {
    pub(crate) fn start(state: &Path, log: PathBuf) -> Self {
        let child = Command::new(program())
            .arg("--state")
            .arg(state)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut process = Running(child);
        let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines().map(Result::unwrap);
        let url = lines.next().unwrap().strip_prefix("serving on ").unwrap().trim_end_matches('/').to_owned();
        let key = lines.find_map(|line| Some(line.trim().strip_prefix("extra-trusted-public-keys = ")?.to_owned()));
        Self { process, url, public_key: key.unwrap(), log }
    }

    /// The request log so far: status, method, target.
    pub(crate) fn requests(&self) -> Vec<(u16, String, String)> {
        let text = std::fs::read_to_string(&self.log).unwrap();
        let read = |line: &str| {
            let mut words = line.split(' ');
            Some((words.next()?.parse().ok()?, words.next()?.to_owned(), words.next()?.to_owned()))
        };
        text.lines().filter_map(read).collect()
    }
}

/// Status, headers and body of a GET.
pub(crate) fn get(url: &str, target: &str) -> (u16, String, Vec<u8>) {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), answer[end + 4..].to_vec())
}

/// nginx over a folder, as an operator has it who serves the folder without us.
pub(crate) fn nginx(folder: &Path, work: &Path) -> (Running, String) {
    // It gets the port as a socket that listens already: nobody else can take it, and nobody has to wait for it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let work_path = work.display();
    let configuration = format!(
        "user root; daemon off; pid {work_path}/pid; error_log {work_path}/error.log;\n\
         events {{}}\nhttp {{ access_log off; client_body_temp_path {work_path}/body; proxy_temp_path {work_path}/proxy;\n\
         fastcgi_temp_path {work_path}/fastcgi; uwsgi_temp_path {work_path}/uwsgi; scgi_temp_path {work_path}/scgi;\n\
         server {{ listen 127.0.0.1:{port}; root {}; }} }}\n",
        folder.display()
    );
    std::fs::write(work.join("nginx.conf"), configuration).unwrap();
    // Its workers end with it: they have a process namespace of their own. (Without workers, nginx 1.22 crashes on a socket that it
    // was given.)
    let child = Command::new("unshare")
        .args(["--pid", "--fork", "--kill-child", "nginx"])
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("NGINX", "0;")
        .stdin(OwnedFd::from(listener))
        .arg("-c")
        .arg(work.join("nginx.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (Running(child), format!("http://127.0.0.1:{port}"))
}

/// A web site that is no cache: every address is a page.
pub(crate) fn web_site() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let _ = stream.read(&mut [0; 4096]);
            let page = "<!DOCTYPE html><title>Welcome</title>";
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                page.len()
            );
            let _ = stream.write_all(format!("{head}{page}").as_bytes());
        }
    });
    url
}
