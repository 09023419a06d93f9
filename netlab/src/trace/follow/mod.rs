//! Which sightings are of one packet, and the journeys that they make.
