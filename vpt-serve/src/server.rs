//! [`Server`]: connections in, answers out, until somebody says stop.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::time::{interval, sleep};

use crate::app::App;
use crate::engine::{Batching, Engine};
use crate::metrics::Metrics;
use crate::routes::router;
use crate::{Registry, ServeError, ServeOptions};

/// How long a client may take for the head of a request, or between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest head of a request.
const MAX_HEAD_BYTES: usize = 32 << 10;

/// Threads that talk to clients. They decode and compute nothing.
const TALKERS: usize = 2;

/// How often it is asked whether to stop.
const STOP_EVERY: Duration = Duration::from_millis(50);

/// A server that listens; clients wait until it [runs](Self::run).
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    registry: Arc<Registry>,
    options: ServeOptions,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// [`ServeError::TokenWanted`] for an address that others can reach; [`ServeError::Listen`].
    pub fn bind(registry: Arc<Registry>, options: ServeOptions) -> Result<Self, ServeError> {
        let address = options.address;
        if !address.ip().is_loopback() && options.token.is_none() {
            return Err(ServeError::TokenWanted { address });
        }
        let listen = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        };
        let (address, listener) = listen().map_err(|source| ServeError::Listen { address, source })?;
        Ok(Self {
            listener,
            address,
            registry,
            options,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` says so, then answers what it has accepted.
    ///
    /// # Errors
    /// [`ServeError::Start`].
    pub fn run(self, stop: &(dyn Fn() -> bool + Sync)) -> Result<(), ServeError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(TALKERS)
            .thread_name("http")
            .enable_io()
            .enable_time()
            .build();
        let runtime = runtime.map_err(ServeError::Start)?;
        let metrics = Arc::new(Metrics::default());
        let batching = Batching {
            max_batch: self.options.max_batch,
            max_wait: self.options.max_wait,
            queue: self.options.queue,
        };
        let (engine, model) = Engine::start(batching, self.registry.device(), Arc::clone(&metrics))
            .map_err(ServeError::Start)?;
        let app = Arc::new(App::new(self.registry, engine, metrics, self.options));
        let served = serve(&runtime, self.listener, &app, stop);
        drop(app);
        // Whoever did not get ready in time is left alone; then the queue has no more senders, and its thread ends.
        runtime.shutdown_timeout(Duration::from_secs(1));
        if served.is_ok() && model.join().is_err() {
            tracing::error!("the model's thread ended in a panic");
        }
        served
    }
}

/// Accepts connections until `stop`, then waits for those that are at work.
fn serve(
    runtime: &Runtime,
    listener: TcpListener,
    app: &Arc<App>,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<(), ServeError> {
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(ServeError::Start)?;
        let connections = Arc::new(Semaphore::new(app.options.max_connections));
        let router = router(app);
        let graceful = GracefulShutdown::new();
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES);
        let mut stopped = std::pin::pin!(stopped(stop));
        loop {
            let next = async {
                let place = Arc::clone(&connections).acquire_owned().await;
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                next = next => next,
                () = &mut stopped => break,
            };
            let Ok((stream, _)) = accepted else {
                // Out of file descriptors, or a client that is already gone.
                sleep(STOP_EVERY).await;
                continue;
            };
            // Answers are small and wanted at once; without it they only come later.
            let _ = stream.set_nodelay(true);
            let service = TowerToHyperService::new(router.clone());
            let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
            tokio::spawn(async move {
                // Clients that go away or break the protocol are no concern of the others.
                let _ = connection.await;
                drop(place);
            });
        }
        drop(listener);
        app.stopping.store(true, Ordering::SeqCst);
        tokio::select! {
            () = graceful.shutdown() => {}
            () = sleep(app.options.timeout) => tracing::warn!("some clients were still connected"),
        }
        Ok(())
    })
}

async fn stopped(stop: &(dyn Fn() -> bool + Sync)) {
    let mut often = interval(STOP_EVERY);
    while !stop() {
        often.tick().await;
    }
}
