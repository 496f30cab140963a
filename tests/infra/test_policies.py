"""The policies hold in the repository, and each fault that is put into a copy is reported."""

from pathlib import Path

import pytest

from infra.checks import policies
from tests.conftest import REPOSITORY
from tests.infra.conftest import Seed, reported

MAIN = "infra/bicep/main.bicep"
EVENTS = "infra/bicep/events.bicep"
MODULES = "infra/bicep/modules"
STORAGE = f"{MODULES}/storage.bicep"
FUNCTION_APP = f"{MODULES}/function-app.bicep"
WEB_APP = f"{MODULES}/web-app.bicep"
ROLES = f"{MODULES}/roles.bicep"
VAULT = f"{MODULES}/vault.bicep"
TOPIC = f"{MODULES}/event-topic.bicep"
SUBSCRIPTION = f"{MODULES}/event-subscription.bicep"
KEY = f"{MODULES}/function-key.bicep"
MONITORING = f"{MODULES}/monitoring.bicep"
REGISTRY = f"{MODULES}/registry.bicep"
NETWORK = f"{MODULES}/network.bicep"
ALERTS = f"{MODULES}/alerts.bicep"
BUDGET = f"{MODULES}/budget.bicep"
WORKBOOK = f"{MODULES}/workbook.json"
PROD = "infra/bicep/prod.parameters.json"
OUTPUT = "@description('Name of the account.')\noutput"
KEY_OUTPUT = "@description('x')\noutput key string = account.listKeys().keys[0].value\n\n" + OUTPUT
TELEMETRY_OUTPUT = (
    "@description('x')\noutput telemetry string = applicationInsights.properties.ConnectionString\n\n"
    "@description('Name of the app.')\noutput"
)
CONNECTION_STRING = (
    "    AzureWebJobsStorage: 'DefaultEndpointsProtocol=https;AccountKey=${account.listKeys().keys[0].value}'\n"
)
CODE = "&code=${listKeys('${functionApp.id}/host/default', '2025-03-01').systemKeys.blobs_extension}"


@pytest.fixture(autouse=True)
def one_environment(tree: Path) -> None:
    """In the copy: enough to break a rule in, and half the time."""
    (tree / "infra/bicep/dev.parameters.json").unlink()


def test_every_rule_holds() -> None:
    assert [str(problem) for problem in policies.check(REPOSITORY)] == []


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        # secrets
        (STORAGE, OUTPUT, KEY_OUTPUT, "output key shows a key"),
        (STORAGE, OUTPUT, KEY_OUTPUT.replace("account.listKeys()", "listKeys(account.id, '2025-06-01')"), "output key"),
        (
            FUNCTION_APP,
            "@description('Name of the app.')\noutput",
            TELEMETRY_OUTPUT,
            "output telemetry shows a key or connection string",
        ),
        (
            FUNCTION_APP,
            "    TONEARM_BLOB_SOURCE: 'EventGrid'\n",
            "    TONEARM_BLOB_SOURCE: 'EventGrid'\n    TONEARM_KEY: account.listKeys().keys[0].value\n",
            "properties.TONEARM_KEY holds a key",
        ),
        (
            FUNCTION_APP,
            "    AzureWebJobsStorage__credential",
            CONNECTION_STRING + "    AzureWebJobsStorage__credential",
            "properties.AzureWebJobsStorage holds a key",
        ),
        (WEB_APP, "'@Microsoft.KeyVault(SecretUri=${apiKeySecretUri})'", "listKeys(apiUrl, '1').x", "holds a key"),
        (WEB_APP, "TONEARM_API_URL: apiUrl", "TONEARM_API_URL: '${apiUrl}?sig=abc'", "TONEARM_API_URL holds a key"),
        # what must be there
        (
            MAIN,
            "'modules/workbook.bicep' = {",
            "'modules/workbook.bicep' = if (containerRegistry) {",
            "no Microsoft.Insights",
        ),
        # storage
        (STORAGE, "allowSharedKeyAccess: false", "allowSharedKeyAccess: true", "set allowSharedKeyAccess to false"),
        (STORAGE, "    allowBlobPublicAccess: false\n", "", "set allowBlobPublicAccess to false"),
        (STORAGE, "minimumTlsVersion: 'TLS1_2'", "minimumTlsVersion: 'TLS1_1'", "set minimumTlsVersion"),
        (STORAGE, "supportsHttpsTrafficOnly: true", "supportsHttpsTrafficOnly: false", "supportsHttpsTrafficOnly"),
        (
            STORAGE,
            "deleteRetentionPolicy: {\n      enabled: true",
            "deleteRetentionPolicy: {\n      enabled: false",
            "set deleteRetentionPolicy",
        ),
        (STORAGE, "containerDeleteRetentionPolicy", "containerRetentionPolicy", "set containerDeleteRetentionPolicy"),
        (STORAGE, "publicAccess: 'None'", "publicAccess: 'Blob'", "set publicAccess to None"),
        (STORAGE, "'uploads/'", "'upload/'", "no enabled lifecycle rule"),
        (STORAGE, "snapshot: {", "version: {", "the rule that deletes uploads leaves their snapshots"),
        (STORAGE, "'${deadLetterContainer}/'", "'results/'", "a lifecycle rule deletes results/, which is to stay"),
        (STORAGE, "'${deadLetterContainer}/'", "'results/'", "deletes what is below event-dead-letters/"),
        (STORAGE, "  'feedback'\n", "", "the code uses container feedback"),
        (STORAGE, "'webjobs-blobtrigger-poison'", "'webjobs-poison'", "the code listens to queue webjobs-blobtrigger-"),
        # what the entry points tell each other and the deployment's steps
        (MAIN, "tags, 'tonearmLiveColour')", "tags, 'tonearmColour')", "nothing writes the group's tag tonearmColour"),
        (MAIN, "output webAppStagingUrl", "output webAppSlotUrl", "has no output webAppStagingUrl"),
        (MAIN, "Names object = {\n  blue:", "Names object = {\n  azure:", "has no output functionAppNames.blue"),
        (
            STORAGE,
            "privateNetworking ? 'Disabled' : 'Enabled'",
            "privateNetworking ? 'Enabled' : 'Enabled'",
            "set publicNetworkAccess to Disabled",
        ),
        # roles
        (ROLES, "  scope: account\n", "", "a role holds for the whole resource group"),
        (ROLES, "  scope: account\n", "  scope: subscription().id\n", "a role holds for the whole resource group"),
        (ROLES, "b7e6dc6d-f1e8-4753-8033-0f276bb0955b", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "is not among those"),
        (ROLES, "b7e6dc6d-f1e8-4753-8033-0f276bb0955b", "b7e6dc6d-f1e8-4753-8033-0f276bb0955c", "is not among those"),
        (ROLES, "    principalType: 'ServicePrincipal'\n", "", "set principalType"),
        (ROLES, "    principalId: functionsPrincipalId\n", "    principalId: ''\n", "set principalId"),
        (
            ROLES,
            "name: guid(account.id, functionsPrincipalId, storageQueueDataContributor)",
            "name: guid(account.id, functionsPrincipalId, storageBlobDataOwner)",
            "deploys the same",
        ),
        (ROLES, "principalId: functionsPrincipalId", "principalId: webPrincipalId", "use blobs, locks and keys"),
        (ROLES, "974c5e8b-45b9-4653-ba55-5f855dd0fb88", "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a", "use queues"),
        (ROLES, "scope: applicationInsights", "scope: vault", "use telemetry"),
        (ROLES, "principalId: webPrincipalId", "principalId: functionsPrincipalId", "no role lets it read"),
        (TOPIC, "principalId: topic.identity.principalId", "principalId: account.id", "write dead letters"),
        (
            ROLES,
            "webPrincipalId, keyVaultSecretsUser)\n  properties: {\n    roleDefinitionId: keyVaultSecretsUser",
            "webPrincipalId, keyVaultSecretsUser)\n  properties: {\n    roleDefinitionId: storageBlobDataOwner",
            "has no need of Storage Blob Data Owner",
        ),
        # vault, registry, telemetry
        (VAULT, "enableRbacAuthorization: true", "enableRbacAuthorization: false", "set enableRbacAuthorization"),
        (VAULT, "enableSoftDelete: true", "enableSoftDelete: false", "set enableSoftDelete"),
        (REGISTRY, "adminUserEnabled: false", "adminUserEnabled: true", "set adminUserEnabled to false"),
        (MONITORING, "DisableLocalAuth: true", "DisableLocalAuth: false", "set DisableLocalAuth"),
        (MONITORING, "    WorkspaceResourceId: workspace.id\n", "", "set WorkspaceResourceId"),
        # every site
        (FUNCTION_APP, "kind: 'functionapp,linux'", "kind: 'functionapp'", "set kind to functionapp,linux"),
        (WEB_APP, "kind: 'app,linux'", "kind: 'app'", "set kind to app,linux"),
        (WEB_APP, "    reserved: true\n", "", "reserved: true, which means Linux"),
        (FUNCTION_APP, "type: 'UserAssigned'\n", "type: 'None'\n", "give it an identity"),
        (FUNCTION_APP, "httpsOnly: true", "httpsOnly: false", "set httpsOnly"),
        (FUNCTION_APP, "      minTlsVersion: '1.2'\n", "", "set siteConfig.minTlsVersion"),
        (WEB_APP, "scmMinTlsVersion: '1.2'", "scmMinTlsVersion: '1.0'", "set siteConfig.scmMinTlsVersion"),
        (WEB_APP, "ftpsState: 'Disabled'", "ftpsState: 'FtpsOnly'", "set siteConfig.ftpsState"),
        (WEB_APP, "    allow: false", "    allow: true", "basicPublishingCredentialsPolicies scm"),
        # function apps on Flex Consumption
        (FUNCTION_APP, "name: 'FC1'", "name: 'Y1'", "the plan must be FC1"),
        (FUNCTION_APP, "reserved: true", "reserved: false", "reserved: true, which means"),
        (FUNCTION_APP, "version: '3.13'", "version: '3.12'", "must be python 3.13"),
        (FUNCTION_APP, "name: 'blob'", "name: 'function:answer_upload'", "must hold an instance for group blob"),
        (FUNCTION_APP, "instanceCount: alwaysReadyBlob", "instanceCount: 0", "must hold an instance for group blob"),
        (FUNCTION_APP, "name: 'http'\n", "name: 'https'\n", "https is no group"),
        (FUNCTION_APP, "maximumInstanceCount: maximumInstanceCount", "maximumInstanceCount: 0", "more instances than"),
        (
            FUNCTION_APP,
            "type: 'UserAssignedIdentity'",
            "type: 'StorageAccountConnectionString'",
            "read with an identity",
        ),
        (FUNCTION_APP, "type: 'blobContainer'", "type: 'files'", "must be of type blobContainer"),
        (FUNCTION_APP, "primaryEndpoints.blob}${deploymentContainer}", "primaryEndpoints.blob}packages", "'packages'"),
        (
            FUNCTION_APP,
            "      ftpsState:",
            "      linuxFxVersion: 'Python|3.13'\n      ftpsState:",
            "linuxFxVersion is not",
        ),
        (
            FUNCTION_APP,
            "    AzureWebJobsStorage__queueServiceUri: account.properties.primaryEndpoints.queue\n",
            "",
            "set AzureWebJobsStorage__queueServiceUri",
        ),
        (FUNCTION_APP, "'managedidentity'", "'key'", "set AzureWebJobsStorage__credential"),
        (
            FUNCTION_APP,
            "TONEARM_BLOB_SOURCE: 'EventGrid'",
            "TONEARM_BLOB_SOURCE: 'LogsAndContainerScan'",
            "set TONEARM_BLOB_SOURCE to EventGrid",
        ),
        (
            FUNCTION_APP,
            "perInstanceConcurrency: instanceMemoryMB >= 4096 ? 8 : 4",
            "perInstanceConcurrency: 0",
            "must be between 1 and 1000",
        ),
        (
            MAIN,
            "identityClientId: identities.outputs.functionsClientId",
            "identityClientId: identities.outputs.webPrincipalId",
            "must be the client id of the app's own identity",
        ),
        (FUNCTION_APP, "ClientId=${identityClientId};", "", "Authorization=AAD with the same client id"),
        (FUNCTION_APP, "string(maxDurationS)", "maxDurationS", "TONEARM_MAX_DURATION_S must be a string"),
        *(
            (FUNCTION_APP, "    TONEARM_BLOB_SOURCE:", f"    {name}: 'x'\n    TONEARM_BLOB_SOURCE:", f"take {name} out")
            for name in (
                "FUNCTIONS_WORKER_RUNTIME",
                "FUNCTIONS_WORKER_PROCESS_COUNT",
                "FUNCTIONS_EXTENSION_VERSION",
                "SCM_DO_BUILD_DURING_DEPLOYMENT",
                "WEBSITE_RUN_FROM_PACKAGE",
            )
        ),
        # the colours
        (MAIN, "'func-tonearm-${environmentName}-green-", "'func-tonearm-${environmentName}-blue-", "must differ"),
        (
            MAIN,
            "storage.outputs.greenDeploymentContainer",
            "storage.outputs.blueDeploymentContainer",
            "the containers of their packages",
        ),
        (
            MAIN,
            "liveColour == 'blue' ? blue.outputs.appUrl : green.outputs.appUrl",
            "liveColour == 'blue' ? green.outputs.appUrl : blue.outputs.appUrl",
            "but the live app is",
        ),
        (EVENTS, "-${liveColour}-${suffix}'", "-blue-${suffix}'", "but the live app is"),
        (EVENTS, "colour: liveColour", "colour: 'blue'", "function-key-green"),
        (EVENTS, "'func-tonearm-${environmentName}", "'func-tonearm-x-${environmentName}", "nothing deploys"),
        (EVENTS, "'kv-tonearm-", "'kv-tonearms-", "nothing deploys"),
        # the web app
        (WEB_APP, "webSocketsEnabled: true", "webSocketsEnabled: false", "set siteConfig.webSocketsEnabled"),
        (WEB_APP, "clientAffinityEnabled: true", "clientAffinityEnabled: false", "set clientAffinityEnabled"),
        (WEB_APP, "healthCheckPath: '/_stcore/health'", "healthCheckPath: '/'", "set siteConfig.healthCheckPath"),
        (WEB_APP, "alwaysOn: true", "alwaysOn: false", "set siteConfig.alwaysOn"),
        (WEB_APP, "'PYTHON|3.13'", "'PYTHON|3.12'", "set siteConfig.linuxFxVersion"),
        (WEB_APP, "'python -m streamlit", "'pip install streamlit && python -m streamlit", "install nothing"),
        (WEB_APP, "targetResourceUri: plan.id", "targetResourceUri: app.id", "no enabled autoscale"),
        (WEB_APP, "    enabled: true\n    targetResourceUri", "    enabled: false\n    targetResourceUri", "autoscale"),
        (WEB_APP, "@Microsoft.KeyVault(SecretUri=${apiKeySecretUri})", "${apiKeySecretUri}", "must refer to Key Vault"),
        (WEB_APP, "    keyVaultReferenceIdentity: identityId\n", "", "keyVaultReferenceIdentity"),
        (
            WEB_APP,
            "  parent: staging\n  name: 'appsettings'\n  properties: settings\n",
            "  parent: staging\n  name: 'appsettings'\n  properties: union(settings, { TONEARM_RESULT_WAIT_S: '1' })\n",
            "the slot's settings differ",
        ),
        (ROLES, "4633458b-17de-408a-b874-0445c86b69e6", "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1", "no role lets it read"),
        (KEY, "name: 'function-key-${colour}'", "name: 'key-${colour}'", "which nothing deploys"),
        (WEB_APP, "--server.port 8000", "--server.port 8501", "--server.port 8000"),
        (WEB_APP, "/.python_packages/lib", "/.packages/lib", "set PYTHONPATH to /home/site/wwwroot/.python_packages"),
        (WEB_APP, "DEPLOYMENT: 'false'", "DEPLOYMENT: 'true'", "set SCM_DO_BUILD_DURING_DEPLOYMENT to false"),
        (WEB_APP, "tier: 'Premium0V3'", "tier: 'Basic'", "slots and autoscale take a plan of tier"),
        (WEB_APP, "'CpuPercentage'", "'CpuPercent'", "metricName must be CpuPercentage"),
        (WEB_APP, "direction: 'Decrease'", "direction: 'Increase'", "a rule that adds instances and one that takes"),
        (WEB_APP, "minimum: string(minimumInstances)", "minimum: 'one'", "capacity must say minimum"),
        (PROD, '"webMinimumInstances": {\n      "value": 2', '"webMinimumInstances": {\n      "value": 9', "cannot be"),
        (WEB_APP, "name: 'staging'", "name: 'stage'", "it has no slot staging"),
        # private networking
        (WEB_APP, "vnetRouteAllEnabled: !empty(subnetId)", "vnetRouteAllEnabled: false", "set siteConfig.vnetRoute"),
        (NETWORK, "privatelink.queue.", "privatelink.queues.", "found by DNS zone privatelink.queue.core.windows.net"),
        (NETWORK, "groupId: 'queue'", "groupId: 'blob'", "it is closed, and no private endpoint leads to queue"),
        (NETWORK, "'Microsoft.App/environments'", "'Microsoft.Web/serverFarms'", "delegated to Microsoft.App/env"),
        (NETWORK, "network.name, 'functions')", "network.name, 'function')", "its subnet function is not deployed"),
        (NETWORK, "network.name, 'endpoints')", "network.name, 'endpoint')", "its subnet endpoint is not deployed"),
        (NETWORK, "'10.20.0.128/27'", "'10.20.0.64/27'", "subnets functions and web overlap"),
        (NETWORK, "'10.20.0.128/27'", "'10.20.0.130/27'", "no addressPrefix that could be used"),
        # what watches
        (ALERTS, "answer_poisoned", "answer_poison", "a query asks for function 'answer_poison'"),
        (ALERTS, "      actionGroups: [\n        actionGroupId\n      ]\n", "", "this alert tells nobody"),
        (ALERTS, "        actionGroupId: actionGroupId\n", "", "this alert tells nobody"),
        (ALERTS, "'QueueMessageCount'", "'QueueMessages'", "has no metric QueueMessages that is known"),
        (
            ALERTS,
            "metricNamespace: 'Microsoft.Web/sites'",
            "metricNamespace: 'Microsoft.Web/site'",
            "is not that of what",
        ),
        (ALERTS, "location: 'global'", "location: location", "set location to global"),
        (BUDGET, "contactGroups: [\n          actionGroupId\n        ]", "contactGroups: []", "notification forecast"),
        (WORKBOOK, "'answer_upload')", "'answer_uploads')", "a query asks for function 'answer_uploads'"),
        (WORKBOOK, "'poison_ignored'", "'poison_eaten'", "a query asks for log entry 'poison_eaten'"),
        (WORKBOOK, '"version": "Notebook/1.0",', '"version" "Notebook/1.0",', "must be a workbook's JSON"),
        # events
        (TOPIC, "StorageAccounts'\n  }", "StorageAccount'\n  }", "topicType must be"),
        (SUBSCRIPTION, "maxDeliveryAttempts: 30", "maxDeliveryAttempts: 31", "maxDeliveryAttempts, between 1 and 30"),
        (SUBSCRIPTION, "Host.Functions.answer_upload", "Host.Functions.classify_upload", "'classify_upload'"),
        (SUBSCRIPTION, "Host.Functions.answer_upload", "Host.Functions.answer_poisoned", "'answer_poisoned'"),
        ("functions/process_upload.py", '"answer_upload"', '"answer_uploads"', "'answer_upload'"),
        (SUBSCRIPTION, "/runtime/webhooks/blobs?", "/runtime/webhooks/eventgrid?", "must be a WebHook to"),
        (SUBSCRIPTION, CODE, "&code=abc", "must be the host's system key"),
        (SUBSCRIPTION, "systemKeys.blobs_extension", "masterKey", "must be the host's system key"),
        (SUBSCRIPTION, "            'FlushWithClose'\n", "", "filter data.api"),
        (SUBSCRIPTION, "'CopyBlob'", "'PutBlock'", "filter data.api"),
        (SUBSCRIPTION, "containers/uploads/'", "containers/'", "filter.subjectBeginsWith"),
        (SUBSCRIPTION, "'Microsoft.Storage.BlobCreated'", "'Microsoft.Storage.BlobDeleted'", "includedEventTypes"),
        (SUBSCRIPTION, "'event-dead-letters'", "'dead-letters'", "a container that is deployed"),
        (SUBSCRIPTION, "deadLetterWithResourceIdentity", "deadLetters", "a container that is deployed"),
        (TOPIC, "ba92f5b4-2d11-453d-a403-e96b0029c9fe", "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1", "write dead letters"),
        (SUBSCRIPTION, "retryPolicy", "retry", "retryPolicy must say"),
        # names
        (MAIN, "'sttonearm${environmentName}", "'st-tonearm${environmentName}", "is no name for a"),
        (MAIN, "'crtonearm$", "'cr-tonearm$", "is no name for a"),
    ],
)
def test_a_fault_is_noticed(seed: Seed, path: str, old: str, new: str, words: str) -> None:
    problems = policies.check(seed(path, old, new))
    assert any(words in problem.text for problem in problems), problems
    assert not any("until the Bicep check" in problem.text for problem in problems), problems


def test_events_may_not_be_deployed_before_the_code(seed: Seed) -> None:
    module = (REPOSITORY / EVENTS).read_text()
    start = module.index("module subscription")
    call = module[start : module.index("}\n}\n", start) + 4].replace(
        "functionAppName: functionAppName", "functionAppName: blue.outputs.appName"
    )
    tree = seed(MAIN, "module workbook", f"{call}\nmodule workbook")
    assert reported(policies.check(tree), SUBSCRIPTION, "deploy it by events.bicep")


def test_a_slot_is_missed(tree: Path) -> None:
    file = tree / WEB_APP
    parts = [
        part
        for part in file.read_text().replace("    staging.properties.defaultHostName\n", "").split("\n\n")
        if "staging" not in part.partition("=")[0] and "staging." not in part
    ]
    file.write_text("\n\n".join(parts))
    main = tree / MAIN
    main.write_text(main.read_text().replace("web.outputs.stagingUrl", "web.outputs.appUrl"))
    assert reported(policies.check(tree), WEB_APP, "it has no slot")


def test_broken_files_are_no_success(seed: Seed) -> None:
    assert policies.check(seed(MAIN, "location: location", "location: locaton"))
