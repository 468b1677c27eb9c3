//! The macro behind the control API's one table.
//!
//! jsonrpsee's own `#[rpc]` trait takes a method's parameters apart into arguments, so a method cannot take "an id
//! and any of these forty numbers", and unknown parameters pass unseen. Here every method has one flat struct of
//! parameters with `deny_unknown_fields`; from the same table come the server trait, the typed client and the
//! OpenRPC document, so the three cannot disagree.

/// Makes `Api` (server), `ApiClient` (client) and `METHODS` (OpenRPC) from a table of
/// `"wire.name" rust_name(Params) -> Result;` rows and `subscribe "name" rust_name -> Item;` rows.
macro_rules! api {
    (
        methods { $($(#[doc = $doc:literal])* $wire:literal $name:ident($params:ty) -> $result:ty;)* }
        subscriptions { $($(#[doc = $sub_doc:literal])* $sub_wire:literal $unsub:literal $sub_name:ident -> $item:ty;)* }
    ) => {
        /// The daemon's side: one function per method.
        ///
        /// Implementations write plain `async fn`; [`module`] makes them a jsonrpsee module.
        #[cfg(feature = "rpc-server")]
        pub trait Api: Send + Sync + 'static {
            $(
                $(#[doc = $doc])*
                fn $name(&self, params: $params) -> impl Future<Output = Result<$result, RpcError>> + Send;
            )*
            $(
                $(#[doc = $sub_doc])*
                ///
                /// Accept `pending` and send items until the sink closes, or reject it.
                fn $sub_name(
                    &self,
                    pending: jsonrpsee::PendingSubscriptionSink,
                ) -> impl Future<Output = jsonrpsee::core::SubscriptionResult> + Send;
            )*
        }

        /// The API as a jsonrpsee module, `rpc.discover` included.
        #[cfg(feature = "rpc-server")]
        pub fn module<A: Api>(api: A) -> Result<jsonrpsee::RpcModule<A>, jsonrpsee::core::RegisterMethodError> {
            let mut module = jsonrpsee::RpcModule::new(api);
            $(
                module.register_async_method($wire, |params, api, _| async move {
                    let params: $params = by_name(&params)?;
                    api.$name(params).await
                })?;
            )*
            $(
                module.register_subscription($sub_wire, $sub_wire, $unsub, |_, pending, api, _| async move {
                    api.$sub_name(pending).await
                })?;
            )*
            module.register_method("rpc.discover", |_, _, _| openrpc())?;
            Ok(module)
        }

        /// The caller's side: one typed function per method, on any jsonrpsee client.
        #[cfg(feature = "rpc-client")]
        pub trait ApiClient: jsonrpsee::core::client::ClientT + Sync {
            $(
                $(#[doc = $doc])*
                fn $name(
                    &self,
                    params: &$params,
                ) -> impl Future<Output = Result<$result, jsonrpsee::core::ClientError>> + Send {
                    self.request($wire, Flat(params))
                }
            )*
        }

        #[cfg(feature = "rpc-client")]
        impl<C: jsonrpsee::core::client::ClientT + Sync> ApiClient for C {}

        /// The subscriptions, on a client that has a connection (WebSocket).
        #[cfg(feature = "rpc-client")]
        pub trait ApiSubscriber: jsonrpsee::core::client::SubscriptionClientT + Sync {
            $(
                $(#[doc = $sub_doc])*
                fn $sub_name(
                    &self,
                ) -> impl Future<
                    Output = Result<
                        jsonrpsee::core::client::Subscription<$item>,
                        jsonrpsee::core::ClientError,
                    >,
                > + Send {
                    self.subscribe($sub_wire, jsonrpsee::core::params::ObjectParams::new(), $unsub)
                }
            )*
        }

        #[cfg(feature = "rpc-client")]
        impl<C: jsonrpsee::core::client::SubscriptionClientT + Sync> ApiSubscriber for C {}

        /// Every method and subscription, for the OpenRPC document.
        const METHODS: &[Method] = &[
            $(Method {
                name: $wire,
                doc: &[$($doc),*],
                params: |schemas| schemas.subschema_for::<$params>(),
                result: |schemas| schemas.subschema_for::<$result>(),
                unsubscribe: None,
            },)*
            $(Method {
                name: $sub_wire,
                doc: &[$($sub_doc),*],
                params: |schemas| schemas.subschema_for::<Empty>(),
                result: |schemas| schemas.subschema_for::<$item>(),
                unsubscribe: Some($unsub),
            },)*
        ];
    };
}
