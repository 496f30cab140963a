"""Policies on private networking: subnets that fit, endpoints that are found, nothing open beside them."""

from collections.abc import Iterator
from ipaddress import IPv4Network
from itertools import combinations
from typing import Any

from infra.policy.deployment import Deployment, Resource

ENDPOINTS, ZONES = "Microsoft.Network/privateEndpoints", "Microsoft.Network/privateDnsZones"
NETWORKS, VAULTS = "Microsoft.Network/virtualNetworks", "Microsoft.KeyVault/vaults"
ALIASES = {each: f"privatelink.{each}." for each in ("blob", "queue", "table")} | {"vault": "privatelink.vaultcore."}
"""Where the name of the DNS zone begins that each service's public name is an alias into."""


def subnets(deployment: Deployment) -> Iterator[str]:
    """Subnets are in their network and apart from each other, and what is put into one finds it there."""
    known: dict[str, dict[str, Any]] = {}
    for network in deployment.made(NETWORKS):
        found = network.properties.get("subnets", [])
        known |= {f"{network.id}/subnets/{each['name']}".lower(): each["properties"] for each in found}
        try:
            (whole,) = map(IPv4Network, network.at("properties.addressSpace.addressPrefixes"))
            ranges = {each["name"]: IPv4Network(each["properties"]["addressPrefix"]) for each in found}
        except ValueError as error:
            yield f"{network}: an address range cannot be used: {error}"
            continue
        yield from (f"{network}: subnet {each} is outside" for each, one in ranges.items() if not one.subnet_of(whole))
        for one, other in combinations(ranges, 2):
            if ranges[one].overlaps(ranges[other]):
                yield f"{network}: subnets {one} and {other} overlap"
    for site in deployment.sites:
        flex = site in deployment.function_apps
        wanted = "Microsoft.App/environments" if flex else "Microsoft.Web/serverFarms"
        subnet = str(site.properties.get("virtualNetworkSubnetId") or "")
        delegations = known.get(subnet.lower(), {}).get("delegations", [])
        if known and wanted not in [each["properties"]["serviceName"] for each in delegations]:
            yield f"{site}: its subnet {subnet.rpartition('/')[2]} must be there, and delegated to {wanted}"
        if known and not flex and site.at("properties.siteConfig.vnetRouteAllEnabled") is not True:
            yield f"{site}: set vnetRouteAllEnabled: else the closed vault cannot be asked for the key"
    for endpoint in deployment.made(ENDPOINTS):
        if str(endpoint.at("properties.subnet.id")).lower() not in known:
            yield f"{endpoint}: its subnet is not deployed"


def private_means_closed(deployment: Deployment) -> Iterator[str]:
    """With a network, storage and vault are closed and reached by endpoints; without one they are open."""
    private = bool(deployment.made(NETWORKS))
    reached: set[tuple[str, str]] = set()
    for endpoint in deployment.made(ENDPOINTS):
        for connection in endpoint.properties.get("privateLinkServiceConnections", []):
            for group in connection["properties"]["groupIds"]:
                reached.add((connection["properties"]["privateLinkServiceId"], group))
                yield from _zone(deployment, endpoint, group)
    for resource in deployment.made("Microsoft.Storage/storageAccounts", VAULTS):
        wanted = ("Disabled", "Deny") if private else ("Enabled", "Allow")
        found = (resource.properties.get("publicNetworkAccess"), resource.at("properties.networkAcls.defaultAction"))
        if found != wanted:
            yield f"{resource}: publicNetworkAccess and defaultAction must be {wanted}, not {found}"
        for group in _groups(deployment, resource) if private else ():
            if (resource.id, group) not in reached:
                yield f"{resource}: it is closed, and no private endpoint leads to {group}"


def _groups(deployment: Deployment, resource: Resource) -> tuple[str, ...]:
    """Which of a resource's services are used."""
    if resource.type == VAULTS:
        return ("vault",)
    return ("blob", "queue") if resource == deployment.account_of("uploads") else ("blob", "queue", "table")


def _zone(deployment: Deployment, endpoint: Resource, group: str) -> Iterator[str]:
    """The endpoint is found by its service's usual name, from inside the network."""
    configs = [each.properties["privateDnsZoneConfigs"] for each in deployment.below(endpoint, "privateDnsZoneGroups")]
    zones = [deployment.by_id(each["properties"]["privateDnsZoneId"]) for config in configs for each in config]
    alias = ALIASES.get(group, "of no service")
    if len(zones) != 1 or zones[0] is None or alias not in zones[0].name:
        yield f"{endpoint}: {group} must be found by a DNS zone {alias}…"
    links = [each for each in deployment.made(f"{ZONES}/virtualNetworkLinks") if alias in each.name]
    if not any(deployment.by_id(each.at("properties.virtualNetwork.id")) for each in links):
        yield f"{endpoint}: the DNS zone of {group} is not linked to the network"


POLICIES = (subnets, private_means_closed)
