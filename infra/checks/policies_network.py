"""Rules of ours for private networking: subnets that fit, endpoints that are found, nothing open beside them."""

from collections.abc import Iterator
from ipaddress import ip_network
from itertools import combinations
from typing import Any

from infra.checks.deployed import at, is_function_app, made, sites
from infra.checks.problem import Problem
from infra.checks.scenarios import Scenario
from infra.checks.values import Resource

ENDPOINTS = "Microsoft.Network/privateEndpoints"
ZONES = {
    "blob": "privatelink.blob.core.windows.net",
    "queue": "privatelink.queue.core.windows.net",
    "table": "privatelink.table.core.windows.net",
    "vault": "privatelink.vaultcore.azure.net",
}
"""Which name each door's public name is an alias for."""
DOORS = {"Microsoft.Storage/storageAccounts": ("blob", "queue", "table"), "Microsoft.KeyVault/vaults": ("vault",)}


def _subnets(scenario: Scenario) -> Iterator[Problem]:
    """Subnets lie apart, and what is put into one finds it there."""
    known: dict[str, dict[str, Any]] = {}
    for network in made(scenario, "Microsoft.Network/virtualNetworks"):
        subnets = network.properties.get("subnets", [])
        known |= {f"{network.id}/subnets/{each['name']}".lower(): each.get("properties", {}) for each in subnets}
        try:
            ranges = [(each["name"], ip_network(each["properties"]["addressPrefix"])) for each in subnets]
        except (KeyError, ValueError) as error:
            yield at(network, f"a subnet has no addressPrefix that could be used: {error}")
            continue
        for (name, one), (second, other) in combinations(ranges, 2):
            if one.overlaps(other):
                yield at(network, f"subnets {name} and {second} overlap")
    users = [(each, each.properties.get("subnet", {}).get("id", "")) for each in made(scenario, ENDPOINTS)]
    users += [(site, site.properties.get("virtualNetworkSubnetId") or "") for site in sites(scenario)]
    for user, subnet in users:
        if subnet and subnet.lower() not in known:
            yield at(user, f"its subnet {subnet.rpartition('/')[2]} is not deployed")
        elif subnet and not user.is_a(ENDPOINTS):
            yield from _lent(user, subnet, known[subnet.lower()])


def _lent(site: Resource, subnet: str, properties: dict[str, Any]) -> Iterator[Problem]:
    wanted = "Microsoft.App/environments" if is_function_app(site) else "Microsoft.Web/serverFarms"
    if wanted not in {each.get("properties", {}).get("serviceName") for each in properties.get("delegations", [])}:
        yield at(site, f"its subnet {subnet.rpartition('/')[2]} must be delegated to {wanted}")


def _private_means_closed(scenario: Scenario) -> Iterator[Problem]:
    """A private endpoint is of no use while the public one stays open, and what is closed needs all of them."""
    reached: dict[str, set[str]] = {}
    for endpoint in made(scenario, ENDPOINTS):
        for connection in endpoint.properties.get("privateLinkServiceConnections", []):
            properties = connection.get("properties", {})
            wanted, groups = properties.get("privateLinkServiceId"), properties.get("groupIds", [])
            target = next((each for each in scenario.resources if each.id == wanted and not each.existing), None)
            if target is None:
                yield at(endpoint, f"it leads to {wanted}, which nothing deploys")
                continue
            if target.properties.get("publicNetworkAccess") != "Disabled":
                yield at(target, "set publicNetworkAccess to Disabled where there are private endpoints")
            reached.setdefault(target.id, set()).update(groups)
            for group in groups:
                yield from _zone(scenario, endpoint, group)
    for kind, doors in DOORS.items():
        for each in made(scenario, kind):
            missing = set(doors) - reached.get(each.id, set())
            if each.properties.get("publicNetworkAccess") == "Disabled" and missing:
                yield at(each, f"it is closed, and no private endpoint leads to {', '.join(sorted(missing))}")


def _zone(scenario: Scenario, endpoint: Resource, group: str) -> Iterator[Problem]:
    """The endpoint is found by its service's usual name."""
    zones = [
        config.get("properties", {}).get("privateDnsZoneId", "").rpartition("/")[2]
        for each in made(scenario, f"{ENDPOINTS}/privateDnsZoneGroups")
        if each.id.startswith(f"{endpoint.id}/")
        for config in each.properties.get("privateDnsZoneConfigs", [])
    ]
    if zones != [ZONES.get(group)]:
        yield at(endpoint, f"{group} is found by DNS zone {ZONES.get(group)}, not by {', '.join(zones) or 'none'}")


RULES = (_subnets, _private_means_closed)
