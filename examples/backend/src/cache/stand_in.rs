//! A stand-in for Redis: a server that knows the few commands of the cache.
//!
//! So the cache talks to Redis in one way, whether there is one or not.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use redis_protocol::{codec::Resp2, resp2::types::BytesFrame};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time,
};
use tokio_util::{codec::Framed, task::AbortOnDropHandle};

use super::memory::Memory;

/// How many bytes the stand-in keeps.
const BYTES: u64 = 64 * 1024 * 1024;

/// Starts the server on a free port of loopback; gives where. It ends when the handle is dropped.
pub(super) async fn start() -> io::Result<(SocketAddr, AbortOnDropHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let entries = Memory::new(BYTES, |_| ());
    let server = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(serve(stream, entries.clone()));
                    }
                    // Out of file descriptors, say. The connections that are open go on.
                    Err(_) => time::sleep(Duration::from_millis(100)).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    });
    Ok((address, AbortOnDropHandle::new(server)))
}

/// Answers one command after the other, until the client goes away or makes no sense.
async fn serve(stream: TcpStream, entries: Memory) {
    drop(stream.set_nodelay(true));
    let mut frames = Framed::new(stream, Resp2::default());
    while let Some(Ok(command)) = frames.next().await {
        if frames.send(answer(&entries, command).await).await.is_err() {
            break;
        }
    }
}

async fn answer(entries: &Memory, command: BytesFrame) -> BytesFrame {
    let ok = || BytesFrame::SimpleString(Bytes::from_static(b"OK"));
    let BytesFrame::Array(words) = command else {
        return BytesFrame::Error("ERR Protocol error".into());
    };
    let words: Vec<Bytes> = words
        .into_iter()
        .map_while(|word| if let BytesFrame::BulkString(word) = word { Some(word) } else { None })
        .collect();
    let Some((name, arguments)) = words.split_first() else {
        return BytesFrame::Error("ERR Protocol error".into());
    };
    match (name.to_ascii_lowercase().as_slice(), arguments) {
        (b"get", [key]) => {
            let entry = entries.get(key).await;
            entry.map_or(BytesFrame::Null, |entry| BytesFrame::BulkString(entry.value))
        }
        (b"set", [key, value, px, milliseconds]) if px.eq_ignore_ascii_case(b"px") => {
            match str::from_utf8(milliseconds).ok().and_then(|text| text.parse().ok()) {
                Some(milliseconds) => {
                    // A copy, as the value is a part of the buffer that was read.
                    let value = Bytes::copy_from_slice(value);
                    entries.set(key, value, Duration::from_millis(milliseconds)).await;
                    ok()
                }
                None => BytesFrame::Error("ERR value is not an integer or out of range".into()),
            }
        }
        (b"pttl", [key]) => BytesFrame::Integer(entries.get(key).await.map_or(-2, |entry| {
            let left = entry.until.saturating_duration_since(Instant::now());
            i64::try_from(left.as_millis()).unwrap_or(i64::MAX)
        })),
        (b"del", [key]) => BytesFrame::Integer(entries.remove(key).await.into()),
        (b"dbsize", []) => {
            let (entries, _) = entries.size().await;
            BytesFrame::Integer(i64::try_from(entries).unwrap_or(i64::MAX))
        }
        (b"ping", []) => BytesFrame::SimpleString(Bytes::from_static(b"PONG")),
        // A client says so what it is.
        (b"client", [..]) => ok(),
        _ => BytesFrame::Error("ERR unknown command".into()),
    }
}

#[cfg(test)]
mod tests {
    use redis::{Client, RedisResult};

    use super::*;

    #[tokio::test]
    async fn what_it_does_not_know_is_an_error_and_the_connection_goes_on() {
        let (address, _server) = start().await.unwrap();
        let client = Client::open(format!("redis://{address}")).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let unknown: RedisResult<()> = redis::cmd("FLUSHALL").query_async(&mut connection).await;
        assert!(unknown.unwrap_err().to_string().contains("unknown command"));
        let mut set = redis::cmd("SET");
        let forever: RedisResult<()> = set.arg("key").arg(1).query_async(&mut connection).await;
        forever.unwrap_err();
        let late: RedisResult<()> = redis::cmd("SET")
            .arg("key")
            .arg(1)
            .arg("PX")
            .arg("soon")
            .query_async(&mut connection)
            .await;
        assert!(late.unwrap_err().to_string().contains("not an integer"));
        let pong: String = redis::cmd("PING").query_async(&mut connection).await.unwrap();
        assert_eq!(pong, "PONG");
        let left: i64 = redis::cmd("PTTL").arg("key").query_async(&mut connection).await.unwrap();
        assert_eq!(left, -2);
    }
}
