//! What strict readers refuse is left out and counted.
