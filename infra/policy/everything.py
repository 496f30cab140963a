"""All policies."""

from infra.policy import apps, contract, data, events, network, page, roles, values, watching

MODULES = (values, data, roles, apps, page, events, network, watching, contract)
POLICIES = {
    f"{each.__name__.rpartition('.')[2]}.{policy.__name__}": policy for each in MODULES for policy in each.POLICIES
}
