//! What edges offer each other: each announces its services, hubs pass that on, and nobody between can change it or leave something out.

mod announcement;
mod exchange;
mod message;

pub use self::announcement::{Announcement, AnnouncementError, OfferedService, Port, Protocol, check_address};
pub use self::exchange::{Directory, Offer, RIVAL_WARNING, keep_name, pass_statements};
pub use self::message::Signed;
pub use overlay_wire::catalogue::LIFETIME;
