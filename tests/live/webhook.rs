//! A receiver of notifications.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;

use crate::server::{Answer, Server};

/// What was posted.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    /// Where to: `/pager`, say.
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// Takes what is posted, wherever to, until it is dropped.
pub(crate) struct Webhook {
    server: Server,
    posts: Arc<Mutex<Vec<Post>>>,
    refused: Arc<Mutex<Option<String>>>,
}

impl Webhook {
    pub(crate) fn start() -> Self {
        let posts = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&posts);
        let refused = Arc::new(Mutex::new(None));
        let path_refused = Arc::clone(&refused);
        let server = Server::receiving(move |head, body| {
            let post = Post {
                path: head.split(' ').nth(1).unwrap_or_default().to_owned(),
                head: head.to_owned(),
                body: serde_json::from_slice(body).unwrap_or_default(),
            };
            let is_refused = path_refused
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()
                .is_some_and(|path| *path == post.path);
            let status = if is_refused { 500 } else { 202 };
            taken.lock().unwrap_or_else(PoisonError::into_inner).push(post);
            Answer { status, content_type: "text/plain".to_owned(), body: b"ok".to_vec() }
        });
        Self { server, posts, refused }
    }

    /// From now on answers with 500 what is posted to this path, if one is given.
    #[allow(dead_code, reason = "not every test has it fail")]
    pub(crate) fn refuse(&self, path: Option<&str>) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = path.map(str::to_owned);
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What was posted to a path so far.
    pub(crate) fn posts(&self, path: &str) -> Vec<Post> {
        let posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
        posts.iter().filter(|post| post.path == path).cloned().collect()
    }

    /// The alerts of Alertmanager's notifications to a path so far.
    pub(crate) fn alerts(&self, path: &str) -> Vec<Value> {
        let posts = self.posts(path).into_iter();
        posts.flat_map(|post| post.body["alerts"].as_array().cloned().unwrap_or_default()).collect()
    }
}
