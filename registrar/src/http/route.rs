//! What there is under which path.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use super::{Site, events, host, metrics, page, view};
use crate::dump;
use crate::query::State;

type Body = UnsyncBoxBody<Bytes, io::Error>;

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// What every answer carries. Nothing may be kept, framed, read by other sites or taken for another type.
const HEADERS: [(header::HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, page::POLICY),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Answers a request. A HEAD is answered as a GET: the body is left out where it would be sent.
pub(super) async fn respond(
    site: Arc<Site>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let ours = host::is_ours(&request, &site.hosts.borrow());
    let mut response = match find(request.uri().path()) {
        _ if !ours => text(StatusCode::MISDIRECTED_REQUEST, "not a host of this server; see [http] hosts\n"),
        None => text(StatusCode::NOT_FOUND, "there is nothing here\n"),
        Some(_) if !matches!(*request.method(), Method::GET | Method::HEAD) => {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            refusal
        }
        Some(resource) => answer(resource, site, request.uri().query().unwrap_or_default())
            .await
            .unwrap_or_else(|error| unavailable(&error.to_string())),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

#[derive(Clone, Copy)]
enum Resource {
    Page,
    Events,
    Metrics,
    Health,
    Readiness,
    Dump,
}

fn find(path: &str) -> Option<Resource> {
    Some(match path {
        "/" => Resource::Page,
        "/events" => Resource::Events,
        "/metrics" => Resource::Metrics,
        "/healthz" => Resource::Health,
        "/readyz" => Resource::Readiness,
        "/dump" => Resource::Dump,
        _ => return None,
    })
}

/// # Errors
/// The service loop does not answer.
async fn answer(resource: Resource, site: Arc<Site>, query: &str) -> io::Result<Response<Body>> {
    let queries = &site.queries;
    Ok(match resource {
        Resource::Page => {
            let range = match view::parse(query) {
                Ok(range) => range,
                Err(what) => return Ok(text(StatusCode::BAD_REQUEST, what)),
            };
            let elements = queries.elements(range.clone()).await?;
            let summary = queries.summary().await?;
            let peers = queries.peers().await?;
            let rates = site.rates.borrow().per_second();
            let page = page::page(&summary, &peers, rates.as_deref(), &range, &elements);
            // A page beyond the last element is there, a pool without elements is not.
            let missing = range.pool.is_some() && range.after.is_none() && elements.pools.is_empty();
            let status = if missing { StatusCode::NOT_FOUND } else { StatusCode::OK };
            whole(status, HTML, page.into_string())
        }
        Resource::Events => {
            let range = match view::parse(query) {
                Ok(range) => range,
                Err(what) => return Ok(text(StatusCode::BAD_REQUEST, what)),
            };
            match Arc::clone(&site.streams).try_acquire_owned() {
                Ok(place) => streamed("text/event-stream", events::events(&site.views, range, place)),
                Err(_) => unavailable("too many clients look at the events"),
            }
        }
        Resource::Metrics => {
            let summary = queries.summary().await?;
            whole(StatusCode::OK, metrics::TYPE, metrics::text(&summary, site.started))
        }
        Resource::Health => queries.summary().await.map(|_| text(StatusCode::OK, "ok\n"))?,
        Resource::Readiness => match queries.summary().await?.state {
            State::InService => text(StatusCode::OK, "ready\n"),
            state => unavailable(&format!("not in service: {state}")),
        },
        Resource::Dump => streamed("application/json", dump::json(queries.clone()).map_ok(Bytes::from)),
    })
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    whole(status, TEXT, text.to_owned())
}

fn unavailable(why: &str) -> Response<Body> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n"));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn whole(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn streamed(
    kind: &'static str,
    pieces: impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Response<Body> {
    let mut response =
        Response::new(StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
