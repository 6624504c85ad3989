//! What our own model refuses of the generated resources, said about the objects they come from: a pattern that is none, a header
//! value with a bad operator, something that the gateway cannot do yet.

use prost::{Message, Name};
use xds_api::envoy::config::listener::v3::Listener;
use xds_api::envoy::config::route::v3::{Route, RouteConfiguration};
use xds_model::error::Refusal;
use xds_model::fate::Report;

use crate::generate::Resource;
use crate::mesh::Mesh;
use crate::problem::{Place, Problems};

/// Reads the resources as the gateway will; what it refuses is an error. `folder` stands in for objects that are not found.
pub(crate) fn check(resources: &[Resource], mesh: &Mesh, folder: &Place, problems: &Problems) {
    for resource in resources {
        let mut report = Report::default();
        let whole = xds_model::resource::decode(&resource.type_url, &resource.message, &mut report).err();
        for refusal in report.refusals.iter().chain(&whole) {
            let place = place(resource, refusal, mesh).unwrap_or_else(|| folder.clone());
            // One line for each problem: reasons about patterns have several.
            let reason = refusal.reason.split_whitespace().collect::<Vec<_>>().join(" ");
            problems.error(&place, format!("cannot be served: {}: {}: {reason}", resource.name, refusal.field));
        }
    }
}

fn place(resource: &Resource, refusal: &Refusal, mesh: &Mesh) -> Option<Place> {
    if resource.type_url == RouteConfiguration::type_url() {
        return place_of_route(resource, refusal, mesh).or_else(|| place_of_table(&resource.name, mesh));
    }
    if resource.type_url == Listener::type_url() {
        return place_of_listener(&resource.name, mesh);
    }
    place_of_cluster(&resource.name, mesh)
}

/// `virtual_hosts[1].routes[2]...`
fn place_of_route(resource: &Resource, refusal: &Refusal, mesh: &Mesh) -> Option<Place> {
    let table = RouteConfiguration::decode(resource.message.clone()).ok()?;
    let (host, rest) = index(&refusal.field, "virtual_hosts[")?;
    let (route, _) = index(rest.strip_prefix('.')?, "routes[")?;
    let (namespace, name) = virtual_service(table.virtual_hosts.get(host)?.routes.get(route)?)?;
    let places = mesh.virtual_services.places();
    places.get(&(namespace.as_str(), name.as_str())).map(|place| (*place).clone())
}

fn index<'a>(field: &'a str, prefix: &str) -> Option<(usize, &'a str)> {
    let (number, rest) = field.strip_prefix(prefix)?.split_once(']')?;
    Some((number.parse().ok()?, rest))
}

fn place_of_table(name: &str, mesh: &Mesh) -> Option<Place> {
    mesh.ports.routes().get(name)?.first().map(|bound| bound.server.place.clone())
}

fn place_of_listener(name: &str, mesh: &Mesh) -> Option<Place> {
    let port = mesh.ports.iter().find(|port| port.key.listener_name() == name)?;
    port.servers.first().map(|bound| bound.server.place.clone())
}

/// `outbound|80|subset|host`: the rule of the service, which most often is to blame, or the service.
fn place_of_cluster(name: &str, mesh: &Mesh) -> Option<Place> {
    let service = mesh.services.get(name.splitn(4, '|').nth(3)?)?;
    let rule = mesh.destination_rules.of(service).map(|rule| &rule.metadata.place);
    Some(rule.unwrap_or(&service.place).clone())
}

/// Namespace and name of the virtual service that a route comes from.
pub(crate) fn virtual_service(route: &Route) -> Option<(String, String)> {
    let facts = route.metadata.as_ref()?.filter_metadata.get("istio")?;
    let Some(prost_types::value::Kind::StringValue(path)) = &facts.fields.get("config")?.kind else { return None };
    let (_, path) = path.split_once("/namespaces/")?;
    let (namespace, name) = path.split_once("/virtual-service/")?;
    Some((namespace.to_owned(), name.to_owned()))
}
