//! [`Metrics`]: what `/metrics` tells Prometheus.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// What is counted and timed. Nothing in it comes from an image or its name.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    request_seconds: Family<Route, Histogram>,
    predictions: Family<Task, Counter>,
    batch_inputs: Histogram,
    batch_tasks: Histogram,
    compute_seconds: Counter<f64, AtomicU64>,
    waiting: Gauge,
    tasks: Gauge,
    resident: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Task {
    task: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("vpt");
        let requests = Family::default();
        registry.register("requests", "Requests answered", requests.clone());
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let request_seconds = Family::<Route, Histogram>::new_with_constructor(seconds);
        registry.register_with_unit(
            "request",
            "From the head of a request to the head of its answer",
            Unit::Seconds,
            request_seconds.clone(),
        );
        let predictions = Family::default();
        registry.register("predictions", "Images judged by a task", predictions.clone());
        let counts = || Histogram::new(exponential_buckets(1.0, 2.0, 9));
        let (batch_inputs, batch_tasks) = (counts(), counts());
        registry.register("batch_inputs", "Inputs of a forward pass", batch_inputs.clone());
        registry.register("batch_tasks", "Tasks of a forward pass", batch_tasks.clone());
        let compute_seconds = Counter::default();
        registry.register_with_unit(
            "compute",
            "Time in which the model was at work",
            Unit::Seconds,
            compute_seconds.clone(),
        );
        let (waiting, tasks, resident) = (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register(
            "queue_inputs",
            "Inputs accepted and not yet answered",
            waiting.clone(),
        );
        registry.register("tasks", "Tasks that are served", tasks.clone());
        registry.register_with_unit(
            "resident_memory",
            "Memory of the process",
            Unit::Bytes,
            resident.clone(),
        );
        Self {
            registry,
            requests,
            request_seconds,
            predictions,
            batch_inputs,
            batch_tasks,
            compute_seconds,
            waiting,
            tasks,
            resident,
        }
    }
}

impl Metrics {
    /// A request was answered.
    pub fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let (method, route) = (method.to_owned(), route.to_owned());
        let of = Request {
            method,
            route: route.clone(),
            status,
        };
        self.requests.get_or_create(&of).inc();
        let of = Route { route };
        self.request_seconds
            .get_or_create(&of)
            .observe(took.as_secs_f64());
    }

    /// A task judged so many images.
    pub fn predicted(&self, task: &str, images: usize) {
        let of = Task {
            task: task.to_owned(),
        };
        self.predictions.get_or_create(&of).inc_by(images as u64);
    }

    /// So many inputs of so many tasks went through the backbone together.
    pub fn batch(&self, inputs: usize, tasks: usize) {
        self.batch_inputs.observe(inputs as f64);
        self.batch_tasks.observe(tasks as f64);
    }

    /// The model was at work for so long.
    pub fn computed(&self, took: Duration) {
        self.compute_seconds.inc_by(took.as_secs_f64());
    }

    /// The text for Prometheus (OpenMetrics), with what is the case now.
    pub fn text(&self, waiting: usize, tasks: usize) -> String {
        self.waiting.set(waiting as i64);
        self.tasks.set(tasks as i64);
        if let Some(bytes) = vpt_eval::resident_memory_bytes() {
            self.resident.set(bytes as i64);
        }
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
