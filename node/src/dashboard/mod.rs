//! The dashboard: a page that shows a running node, served by its control interface
//! (`docs/dashboard.md`, ADR 0430 and 0431).
//!
//! | module | what it is |
//! |---|---|
//! | `assets` | the files of the page, and the policy that browsers hold them to |
//! | `doors` | codes and sessions |
//! | [`sample`] | the numbers that the page draws |
//!
//! Over TCP a browser comes in with a link that has a code in it. The code is good once: it becomes
//! a cookie that no script can read and that no other site can make the browser send.

mod assets;
mod doors;
pub mod limits;
pub mod sample;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use dunlin_transport::driver::OsRandom;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::control::model::{Code, DashboardLink, Problem};
use crate::failure::Failure;
use doors::Doors;
use limits::{CODE_LIFE, SESSION_LIFE};

/// What the names of our cookies begin with. The port follows: cookies of all ports of a host are
/// sent to each of them, and several nodes may run here.
const COOKIE: &str = "dunlin-dashboard-";
/// Wishes for an address that may wait.
const WISHES_MAX: usize = 4;

/// Asks for an address where browsers are served, which is opened if need be.
pub(crate) type Wish = oneshot::Sender<Result<SocketAddr, Failure>>;

/// Who may look at the dashboard of a node.
#[derive(Debug)]
pub struct Dashboard {
    clock: Clock,
    doors: Mutex<Doors>,
    wishes: mpsc::Sender<Wish>,
    waiting: Mutex<Option<mpsc::Receiver<Wish>>>,
}

impl Default for Dashboard {
    fn default() -> Self {
        let (wishes, waiting) = mpsc::channel(WISHES_MAX);
        Self {
            clock: Clock::start(),
            doors: Mutex::default(),
            wishes,
            waiting: Mutex::new(Some(waiting)),
        }
    }
}

impl Dashboard {
    /// The wishes, for the one who serves; `None` the second time.
    pub(crate) fn take_wishes(&self) -> Option<mpsc::Receiver<Wish>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.take()
    }

    /// A link for one browser to the page, opened on loopback if the node serves no TCP yet.
    ///
    /// # Errors
    /// When no address can be had.
    pub async fn open(&self) -> Result<DashboardLink, Problem> {
        let (wish, granted) = oneshot::channel();
        self.wishes
            .send(wish)
            .await
            .map_err(|_| Problem::stopping())?;
        let address = granted.await.map_err(|_| Problem::stopping())?;
        let address =
            address.map_err(|failure| Problem::new(Code::Unsupported, failure.to_string()))?;
        Ok(self.link(address))
    }

    /// A link for one browser to the page at `address`.
    #[must_use]
    pub fn link(&self, address: SocketAddr) -> DashboardLink {
        let code = self.doors().issue(self.clock.now(), &mut OsRandom);
        DashboardLink {
            url: format!("http://{}/?code={code}", reachable(address)),
            expires_in_s: CODE_LIFE.as_secs(),
        }
    }

    /// Whether a request comes from a browser that was let in. That it comes from no other site is
    /// checked before; here, whatever changes something has to say that it comes from the page.
    pub(crate) fn admits(&self, method: &Method, headers: &HeaderMap) -> bool {
        let only_reads = matches!(*method, Method::GET | Method::HEAD);
        if !only_reads && !headers.contains_key(header::ORIGIN) {
            return false;
        }
        let doors = self.doors();
        let now = self.clock.now();
        cookies(headers).any(|session| doors.knows(now, session))
    }

    /// The answer to a browser that follows a link with a code: a cookie and the way to the page,
    /// or how to get another link. `None` when the request is something else.
    pub(crate) fn answer_link(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Option<Response> {
        if *method != Method::GET || uri.path() != "/" {
            return None;
        }
        let code = uri
            .query()?
            .split('&')
            .find_map(|pair| pair.strip_prefix("code="))?;
        let now = self.clock.now();
        let entered = self.doors().enter(now, code, &mut OsRandom);
        let Some(session) = entered else {
            // Following a link twice is no reason to be locked out.
            return Some(if self.admits(method, headers) {
                to_page()
            } else {
                closed()
            });
        };
        let host = headers.get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        let port = host.rsplit_once(':').map_or("80", |(_, port)| port);
        let port: u16 = port.parse().unwrap_or(80);
        let life = SESSION_LIFE.as_secs();
        let cookie =
            format!("{COOKIE}{port}={session}; Path=/; Max-Age={life}; HttpOnly; SameSite=Strict");
        Some(([(header::SET_COOKIE, cookie)], to_page()).into_response())
    }

    fn doors(&self) -> MutexGuard<'_, Doors> {
        // Each change of the doors is complete or has not begun.
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The page and its files.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(assets::page))
        .route("/assets/{name}", get(assets::file))
}

/// What a browser gets that is not let in: how to get in, and status 401.
pub(crate) fn closed() -> Response {
    let mut response = assets::door();
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

fn to_page() -> Response {
    let headers = [(header::LOCATION, "/"), (header::CACHE_CONTROL, "no-store")];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// The values of our cookies.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.split_once('='))
        .map(|(_, value)| value)
}

/// Where a browser on this machine reaches what listens at `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            let name = header::HeaderName::from_static(name);
            (name, HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn follow(dashboard: &Dashboard, link: &DashboardLink) -> Response {
        let (_, path) = link.url.split_once("1:4680").unwrap();
        let uri: Uri = path.parse().unwrap();
        let host = headers(&[("host", "127.0.0.1:4680")]);
        let answer = dashboard.answer_link(&Method::GET, &uri, &host);
        answer.unwrap()
    }

    #[test]
    fn a_link_becomes_a_cookie_that_scripts_and_other_sites_cannot_use() {
        let dashboard = Dashboard::default();
        let link = dashboard.link("0.0.0.0:4680".parse().unwrap());
        assert!(link.url.starts_with("http://127.0.0.1:4680/?code="));
        let answer = follow(&dashboard, &link);
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(answer.headers()[header::LOCATION], "/");
        let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.starts_with("dunlin-dashboard-4680="), "{cookie}");
        assert!(cookie.ends_with("; HttpOnly; SameSite=Strict"), "{cookie}");
        let value = cookie.split(';').next().unwrap();
        let other = format!("other=1; {value}");
        let get = |cookie| dashboard.admits(&Method::GET, &headers(&[("cookie", cookie)]));
        assert!(get(value) && get(&other));
        assert!(!get("dunlin-dashboard-4680="));
        assert!(!get(&value.replace("dunlin", "x")));
        assert!(!dashboard.admits(&Method::GET, &HeaderMap::new()));
        let again = follow(&dashboard, &link);
        assert_eq!(again.status(), StatusCode::UNAUTHORIZED, "used up");
    }

    #[test]
    fn who_changes_something_has_to_say_where_it_comes_from() {
        let dashboard = Dashboard::default();
        let link = dashboard.link("127.0.0.1:4680".parse().unwrap());
        let answer = follow(&dashboard, &link);
        let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        let cookie = ("cookie", cookie.split(';').next().unwrap());
        let origin = ("origin", "http://127.0.0.1:4680");
        for method in [Method::POST, Method::DELETE, Method::PUT] {
            assert!(!dashboard.admits(&method, &headers(&[cookie])));
            assert!(dashboard.admits(&method, &headers(&[cookie, origin])));
            assert!(!dashboard.admits(&method, &headers(&[origin])));
        }
    }

    #[test]
    fn only_the_page_itself_takes_codes() {
        let dashboard = Dashboard::default();
        for (method, uri) in [
            (Method::POST, "/?code=1"),
            (Method::GET, "/api/v1/status?code=1"),
            (Method::GET, "/"),
            (Method::GET, "/?other=1"),
        ] {
            let uri: Uri = uri.parse().unwrap();
            let answer = dashboard.answer_link(&method, &uri, &HeaderMap::new());
            assert!(answer.is_none(), "{method} {uri}");
        }
    }
}
