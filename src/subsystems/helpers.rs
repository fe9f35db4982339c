//! The macro that declares helpers.

/// Declares helpers once, as methods of [`Metrics`] and as free functions on the installed instance.
///
/// The body is that of the method. A free function is documented like the method and calls it.
macro_rules! helpers {
    ($(
        $(#[$attribute:meta])+
        pub fn $name:ident($self:ident $(, $argument:ident: $Argument:ty)* $(,)?) $(-> $Return:ty)? $body:block
    )+) => {
        impl $crate::Metrics {
            $(
                $(#[$attribute])+
                #[inline]
                pub fn $name($self $(, $argument: $Argument)*) $(-> $Return)? $body
            )+
        }

        /// The helpers as free functions on the installed instance.
        pub(crate) mod free {
            #[allow(unused_imports, reason = "what the signatures name")]
            use super::*;

            $(
                $(#[$attribute])+
                #[doc = ""]
                #[doc = "Records into the [installed](crate::Metrics::install) instance; before one is installed, nowhere."]
                #[inline]
                pub fn $name($($argument: $Argument),*) $(-> $Return)? {
                    $crate::Metrics::global().$name($($argument),*)
                }
            )+
        }
    };
}
pub(crate) use helpers;
