//! Clients that take their time, over real sockets. Each test waits for something that has to happen, and fails where it
//! does not.

use super::*;
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

/// So long nothing here takes; whoever waits longer waits for nothing.
const NEVER: Duration = Duration::from_secs(3600);
const AT_LAST: Duration = Duration::from_secs(60);

const PATIENT: Limits =
    Limits { connections: 4, head: NEVER, head_bytes: 16 << 10, patience: NEVER, pace: 16 << 10 };

/// A large answer, in pieces, that says when it is no longer being sent.
struct Large {
    left: usize,
    told: Option<oneshot::Sender<()>>,
}

impl HttpBody for Large {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        const PIECE: usize = 64 << 10;
        self.left = self.left.saturating_sub(PIECE);
        Poll::Ready((self.left > 0).then(|| Ok(Frame::data(vec![0; PIECE].into()))))
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        if let Some(told) = self.told.take() {
            let _ = told.send(());
        }
    }
}

/// More than the buffers of a connection take.
const LARGE: usize = 64 << 20;

/// A server with these limits, and who is told when the large answer is no longer being sent.
async fn server(limits: Limits) -> (SocketAddr, oneshot::Receiver<()>) {
    let (told, over) = oneshot::channel();
    let told = Arc::new(Mutex::new(Some(told)));
    let large = move || {
        let told = told.lock().unwrap().take();
        async move { Body::new(Large { left: LARGE, told }) }
    };
    let router = Router::new().route("/", get(|| async { "here\n" })).route("/large", get(large));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router, limits, std::future::pending()));
    (address, over)
}

async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    tokio::time::timeout(AT_LAST, event).await.unwrap_or_else(|_| panic!("{what} does not happen"))
}

/// A connection over which these bytes were sent.
async fn client(address: SocketAddr, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    stream
}

/// Everything up to the end that the server makes, well or not.
async fn to_the_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = soon("the end", stream.read_to_end(&mut all)).await;
    all
}

const WHOLE: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

async fn ask(address: SocketAddr) -> String {
    let mut stream = client(address, &WHOLE.replace("Host", "Connection: close\r\nHost")).await;
    String::from_utf8(to_the_end(&mut stream).await).unwrap()
}

#[tokio::test]
async fn heads_that_are_never_complete_are_ended() {
    let (address, _over) = server(Limits { head: Duration::from_millis(50), ..PATIENT }).await;
    for sent in ["", "GET", "GET / HTTP/1.1\r\nHost: x\r\nX-A: ", WHOLE] {
        let answer = to_the_end(&mut client(address, sent).await).await;
        let whole = String::from_utf8(answer).unwrap();
        assert_eq!(whole.ends_with("here\n"), sent == WHOLE, "{sent:?}: {whole}");
    }
}

#[tokio::test]
async fn heads_have_a_size() {
    let (address, _over) = server(PATIENT).await;
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100 << 10));
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may be cut off while it sends.
    let _ = stream.write_all(long.as_bytes()).await;
    let mut first = [0; 12];
    if soon("an answer", stream.read_exact(&mut first)).await.is_ok() {
        assert_eq!(&first, b"HTTP/1.1 431");
    }
    assert!(ask(address).await.ends_with("here\n"));
}

#[tokio::test]
async fn whoever_takes_nothing_of_an_answer_gets_no_more() {
    let (address, over) = server(Limits { patience: Duration::from_millis(50), ..PATIENT }).await;
    let _idle = client(address, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let _ = soon("the end of the answer", over).await;
}

/// A byte now and then is progress, and not enough.
#[tokio::test]
async fn whoever_takes_an_answer_byte_by_byte_gets_no_more() {
    let (address, over) = server(Limits { patience: Duration::from_millis(200), pace: LARGE, ..PATIENT }).await;
    let mut slow = client(address, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let reading = async {
        let mut piece = vec![0; 256 << 10];
        // Reading goes on until the server has had enough of it.
        while slow.read(&mut piece).await.is_ok_and(|read| read > 0) {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::future::pending::<()>().await;
    };
    soon("the end of the answer", async {
        tokio::select! {
            () = reading => {}
            _ = over => {}
        }
    })
    .await;
}

#[tokio::test]
async fn large_answers_arrive_whole() {
    let (address, _over) = server(Limits::for_open_files(64)).await;
    let mut stream = client(address, "GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(to_the_end(&mut stream).await.len() > LARGE - (1 << 20));
}

#[tokio::test]
async fn half_sent_requests_and_idle_connections_give_way() {
    let (address, _over) = server(PATIENT).await;
    let mut first = client(address, "GET / HTTP/1.1\r\n").await;
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(client(address, "GET / HTTP/1.1\r\n").await);
        assert!(ask(address).await.ends_with("here\n"));
    }
    assert!(to_the_end(&mut first).await.is_empty());
}

/// One answer each to four clients fills the server; a fifth of the same address is told so, and Nix comes back.
#[tokio::test]
async fn where_all_are_being_answered_the_next_is_told_to_come_back() {
    let (address, _over) = server(PATIENT).await;
    let mut busy = Vec::new();
    for _ in 0..PATIENT.connections {
        let mut stream = client(address, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
        soon("the head", stream.read_exact(&mut [0; 16])).await.unwrap();
        busy.push(stream);
    }
    assert!(ask(address).await.starts_with("HTTP/1.1 503 "));
    busy.pop();
    // The server notices when it sends the next piece.
    while !ask(address).await.ends_with("here\n") {
        tokio::task::yield_now().await;
    }
}
