//! How a route comes into being: with its method, its path and what its callers need, which is asked
//! before the handler sees the request. There is no other way to add one to the API, so that none can
//! be open by mistake and all of them can be enumerated.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use http::Method;

use crate::auth::admit;
use crate::permission::{Access, Permission, Route};
use crate::{App, cors, rate};

/// The routes of the API, as they are declared.
#[derive(Default)]
pub struct Routes {
    router: Router<App>,
    list: Vec<Route>,
}

impl Routes {
    /// `GET`, for callers with the permission.
    pub fn get<H: Handler<T, App>, T: Send + 'static>(
        self,
        path: &'static str,
        needs: Permission,
        handler: H,
    ) -> Self {
        self.needs(Method::GET, MethodFilter::GET, path, needs, handler)
    }

    /// `POST`, for callers with the permission.
    pub fn post<H: Handler<T, App>, T: Send + 'static>(
        self,
        path: &'static str,
        needs: Permission,
        handler: H,
    ) -> Self {
        self.needs(Method::POST, MethodFilter::POST, path, needs, handler)
    }

    /// `PUT`, for callers with the permission.
    pub fn put<H: Handler<T, App>, T: Send + 'static>(
        self,
        path: &'static str,
        needs: Permission,
        handler: H,
    ) -> Self {
        self.needs(Method::PUT, MethodFilter::PUT, path, needs, handler)
    }

    /// `DELETE`, for callers with the permission.
    pub fn delete<H: Handler<T, App>, T: Send + 'static>(
        self,
        path: &'static str,
        needs: Permission,
        handler: H,
    ) -> Self {
        self.needs(Method::DELETE, MethodFilter::DELETE, path, needs, handler)
    }

    /// `POST` of events: for publishable keys too, and for browsers on any page.
    pub fn ingest<H: Handler<T, App>, T: Send + 'static>(mut self, path: &'static str, handler: H) -> Self {
        let access = Access::Ingestion;
        let guarded = Guarded { handler, access };
        let methods = on(MethodFilter::POST, guarded)
            .layer(from_fn(cors::readable))
            .options(cors::preflight);
        self.list.push(Route {
            method: Method::POST,
            path,
            access,
        });
        self.router = self.router.route(path, methods);
        self
    }

    fn needs<H: Handler<T, App>, T: Send + 'static>(
        mut self,
        method: Method,
        filter: MethodFilter,
        path: &'static str,
        permission: Permission,
        handler: H,
    ) -> Self {
        let access = Access::Needs(permission);
        self.list.push(Route { method, path, access });
        self.router = self.router.route(path, on(filter, Guarded { handler, access }));
        self
    }

    /// The router, and the list of what is in it.
    pub fn into_parts(self) -> (Router<App>, Vec<Route>) {
        (self.router, self.list)
    }
}

/// A handler behind its door.
#[derive(Clone)]
struct Guarded<H> {
    handler: H,
    access: Access,
}

impl<H: Handler<T, App>, T: Send + 'static> Handler<T, App> for Guarded<H> {
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, mut request: Request, app: App) -> Self::Future {
        Box::pin(async move {
            match admit(&app, request.headers(), self.access).await {
                Ok(caller) => {
                    let standing = match rate::admit(&app, &caller, self.access).await {
                        Ok(standing) => standing,
                        Err(refused) => return refused.into_response(),
                    };
                    let share = app.bodies.share(&caller);
                    request.extensions_mut().insert(Arc::clone(&share));
                    request.extensions_mut().insert(caller);
                    let mut response = self.handler.call(request, app).await;
                    drop(share);
                    if let Some(standing) = standing {
                        rate::write(standing, response.headers_mut());
                    }
                    response
                }
                Err(refused) => refused.into_response(),
            }
        })
    }
}
