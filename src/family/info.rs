//! Facts about the process.

use crate::{
    model::{Definition, Kind, Label, Labels, ValueSet},
    registry::{FamilyType, Registrar, Slot},
};

/// The service's version and component, as labels of a series that is always 1.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Info;

impl FamilyType for Info {
    const KIND: Kind = Kind::Info;
    const LABELS: &'static Labels = &Labels::new(&[
        Label::new("version", ValueSet::Text),
        Label::new("component", ValueSet::Text),
    ]);

    fn register(definition: &'static Definition, registrar: &mut Registrar) -> Self {
        registrar.add(definition, Slot::Info, 1, None);
        Self
    }
}
