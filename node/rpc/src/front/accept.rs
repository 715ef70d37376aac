//! Takes connections in, as many as there are places.

use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use jsonrpsee::{
    core::BoxError,
    server::{HttpBody, HttpRequest, HttpResponse, StopHandle},
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::{
    Connection,
    flow::Flow,
    rate::Bucket,
    socket::{Socket, counted},
};
use crate::RpcConfig;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Pause after the system gave no connection, such as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections above the limit that are told so at the same time; more are just closed.
const TURNED_AWAY_MAX: usize = 32;
/// How long telling them may take.
const TURNING_AWAY: Duration = Duration::from_secs(1);
/// What they are told.
const NO_PLACE: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"too many connections; close some or try again later"}}"#;

/// Places for connections.
#[derive(Clone)]
pub(crate) struct Doors {
    all: Arc<Semaphore>,
    by_address: Arc<Mutex<BTreeMap<IpAddr, u32>>>,
    per_address_max: u32,
    turned_away: Arc<Semaphore>,
    header_timeout: Duration,
    write_timeout: Duration,
    requests_per_second: Option<NonZeroU32>,
}

/// A place that is taken.
pub(crate) struct Place {
    address: IpAddr,
    by_address: Arc<Mutex<BTreeMap<IpAddr, u32>>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = self.by_address.lock();
        if let Some(taken) = by_address.get_mut(&self.address) {
            *taken -= 1;
            if *taken == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

impl Doors {
    pub(crate) fn new(config: &RpcConfig) -> Self {
        Self {
            all: Arc::new(Semaphore::new(config.connections_max as usize)),
            by_address: Arc::default(),
            per_address_max: config.connections_per_address_max,
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY_MAX)),
            header_timeout: config.header_timeout,
            write_timeout: config.write_timeout,
            requests_per_second: config.requests_per_second,
        }
    }

    fn place(&self, address: SocketAddr) -> Option<Place> {
        let permit = self.all.clone().try_acquire_owned().ok()?;
        let address = counted(address);
        let mut by_address = self.by_address.lock();
        let taken = by_address.entry(address).or_default();
        if *taken >= self.per_address_max {
            return None;
        }
        *taken += 1;
        Some(Place {
            address,
            by_address: self.by_address.clone(),
            _permit: permit,
        })
    }

    /// Tells a client that there is no place for it.
    fn turn_away(&self, mut stream: TcpStream) {
        let Ok(permit) = self.turned_away.clone().try_acquire_owned() else {
            return;
        };
        tokio::spawn(async move {
            let text = format!(
                "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{NO_PLACE}",
                NO_PLACE.len()
            );
            let tell = async {
                stream.write_all(text.as_bytes()).await?;
                stream.shutdown().await?;
                // Closing with bytes unread would take the answer back.
                let mut unread = [0; 1_024];
                while tokio::io::AsyncReadExt::read(&mut stream, &mut unread).await? > 0 {}
                std::io::Result::Ok(())
            };
            // Who does not listen is not told.
            let _ = tokio::time::timeout(TURNING_AWAY, tell).await;
            drop(permit);
        });
    }
}

/// Serves every connection with `answer`, which also gets the connection's number,
/// until told to stop.
pub(crate) async fn serve<F, A>(listener: TcpListener, doors: Doors, stop: StopHandle, answer: F)
where
    F: Fn(HttpRequest, u32) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<HttpResponse, BoxError>> + Send + 'static,
{
    let mut stopped = Box::pin(stop.clone().shutdown());
    let mut number: u32 = 0;
    loop {
        let accepted = tokio::select! {
            () = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "no JSON-RPC connection was accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = doors.place(address) else {
            doors.turn_away(stream);
            continue;
        };
        number = number.wrapping_add(1);
        // Answers are small and waited for.
        let _ = stream.set_nodelay(true);
        let flow = Arc::new(Flow::default());
        let connection = Connection {
            flow: flow.clone(),
            bucket: doors
                .requests_per_second
                .map(|rate| Arc::new(Bucket::per_second(rate))),
        };
        let socket = Socket::new(stream, flow, doors.write_timeout, place);
        let answer = answer.clone();
        let answer = move |mut request: HttpRequest| {
            request.extensions_mut().insert(connection.clone());
            answer(request, number)
        };
        tokio::spawn(serve_connection(
            socket,
            doors.header_timeout,
            stop.clone(),
            answer,
        ));
    }
}

async fn serve_connection<F, A>(
    socket: Socket,
    header_timeout: Duration,
    stop: StopHandle,
    answer: F,
) where
    F: Fn(HttpRequest) -> A + Send + Sync + 'static,
    A: Future<Output = Result<HttpResponse, BoxError>> + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let answered = answer(request.map(HttpBody::new));
        async move {
            let answered: Result<Response<HttpBody>, BoxError> = answered.await;
            answered.map_err(std::io::Error::other)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let stopped = std::pin::pin!(stop.clone().shutdown());
    let served = tokio::select! {
        served = &mut connection => served,
        () = stopped => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a JSON-RPC connection ended early");
    }
}
