// The web page: Streamlit on App Service, with a slot where a new version starts before it is swapped in.
import { resourceTags } from 'shared.bicep'
import { assertionSetting } from 'sign-in.bicep'

@description('Name of the app.')
@minLength(2)
@maxLength(60)
param appName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags resourceTags

@description('Name of the app\'s identity: it reads the vault, and is the app registration\'s credential.')
param identityName string

@description('Whether nothing is live: only then does the production slot get its settings here.')
param nothingLive bool

@description('Address of the function app that the slot staging calls.')
param apiUrl string

@description('Address of the vault\'s secret that holds this function app\'s key.')
param apiKeySecretUri string

@description('How long the page waits for a result before it offers to go on waiting, in seconds.')
@minValue(1)
param resultWaitS int

@description('Names of the page besides those that App Service gives it.')
param hostNames string[]

@description('Whether visitors sign in with Entra ID.')
param signIn bool

@description('The app registration by which they do.')
param clientId string

@description('The tenant whose people may sign in.')
param tenantId string

@description('Whose uploads a visitor sees.')
@allowed([
  'own'
  'shared'
])
param history string

@description('Fewest instances.')
@minValue(1)
param minimumInstances int

@description('Most instances.')
@minValue(1)
param maximumInstances int

@description('Resource id of the subnet by which the app reaches others. Empty: none.')
param subnetId string

@description('Resource id of the Log Analytics workspace that takes the logs.')
param workspaceId string

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

// The settings of the slot staging. Once something is live, production gets them by a swap alone, with the code that they
// belong to, and a swap back restores them: https://learn.microsoft.com/azure/app-service/deploy-staging-slots
var settings = {
  TONEARM_API_URL: apiUrl
  TONEARM_API_KEY: '@Microsoft.KeyVault(SecretUri=${apiKeySecretUri})'
  TONEARM_RESULT_WAIT_S: string(resultWaitS)
  TONEARM_ALLOWED_HOSTS: join(concat([
    nothingLive ? app!.properties.defaultHostName : live!.properties.defaultHostName
    staging.properties.defaultHostName
  ], hostNames), ',')
  // The page may trust X-MS-CLIENT-PRINCIPAL-… only where App Service sets it, which is where sign-in is required.
  TONEARM_SIGN_IN: signIn ? 'required' : 'off'
  TONEARM_HISTORY: history
  PYTHONPATH: '/home/site/wwwroot/.python_packages/lib/site-packages'
  SCM_DO_BUILD_DURING_DEPLOYMENT: 'false'
  // The identity stands in for a client secret: the app registration trusts it by a federated credential. It is there
  // without sign-in too, as a swap would not bring it.
  '${assertionSetting}': identity.properties.clientId
}

var siteProperties = {
  serverFarmId: plan.id
  httpsOnly: true
  // A session lives in one instance's memory.
  clientAffinityEnabled: true
  keyVaultReferenceIdentity: identity.id
  publicNetworkAccess: 'Enabled'
  virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
  siteConfig: {
    // Otherwise the vault would be read over the public network, where a private vault does not answer.
    vnetRouteAllEnabled: !empty(subnetId)
    linuxFxVersion: 'PYTHON|3.13'
    // Nothing is installed at the start: the package brings its dependencies.
    appCommandLine: 'python -m streamlit run frontend/app.py --server.port 8000 --server.address 0.0.0.0 --server.headless true'
    alwaysOn: true
    webSocketsEnabled: true
    healthCheckPath: '/_stcore/health'
    ftpsState: 'Disabled'
    http20Enabled: true
    minTlsVersion: '1.2'
    scmMinTlsVersion: '1.2'
    remoteDebuggingEnabled: false
    httpLoggingEnabled: true
    detailedErrorLoggingEnabled: true
  }
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: 'plan-${appName}'
  location: location
  tags: tags
  kind: 'linux'
  // The smallest current plan with slots and autoscale. A deployment resets the count to the minimum, and autoscale
  // raises it again; the swap after it ends all sessions anyway.
  sku: {
    tier: 'Premium0V3'
    name: 'P0v3'
    capacity: minimumInstances
  }
  properties: {
    reserved: true
  }
}

// The production slot is made here once. Later it gets by a swap alone what a swap takes along; the rest, such as sign-in,
// is changed by hand.
resource app 'Microsoft.Web/sites@2025-03-01' = if (nothingLive) {
  name: appName
  location: location
  tags: tags
  kind: 'app,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: siteProperties
}

resource live 'Microsoft.Web/sites@2025-03-01' existing = if (!nothingLive) {
  name: appName
}

resource appSettings 'Microsoft.Web/sites/config@2025-03-01' = if (nothingLive) {
  parent: app
  name: 'appsettings'
  properties: settings
}

module appSignIn 'sign-in.bicep' = if (nothingLive) {
  params: {
    appName: appName
    signIn: signIn
    clientId: clientId
    tenantId: tenantId
  }
  dependsOn: [
    appSettings
  ]
}

// App Service asks that this setting is not swapped.
resource stickySettings 'Microsoft.Web/sites/config@2025-03-01' = if (nothingLive) {
  parent: app
  name: 'slotConfigNames'
  properties: {
    appSettingNames: [
      assertionSetting
    ]
  }
}

resource appScmPasswords 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = if (nothingLive) {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

resource appFtpPasswords 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = if (nothingLive) {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource staging 'Microsoft.Web/sites/slots@2025-03-01' = {
  parent: app
  name: 'staging'
  location: location
  tags: tags
  kind: 'app,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: siteProperties
}

resource stagingSettings 'Microsoft.Web/sites/slots/config@2025-03-01' = {
  parent: staging
  name: 'appsettings'
  properties: settings
}

module stagingSignIn 'sign-in.bicep' = {
  params: {
    appName: appName
    production: false
    signIn: signIn
    clientId: clientId
    tenantId: tenantId
  }
  dependsOn: [
    stagingSettings
  ]
}

resource stagingScmPasswords 'Microsoft.Web/sites/slots/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: staging
  name: 'scm'
  properties: {
    allow: false
  }
}

resource stagingFtpPasswords 'Microsoft.Web/sites/slots/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: staging
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource autoscale 'Microsoft.Insights/autoscalesettings@2022-10-01' = {
  name: 'autoscale-${appName}'
  location: location
  tags: tags
  properties: {
    enabled: true
    targetResourceUri: plan.id
    profiles: [
      {
        name: 'cpu'
        capacity: {
          minimum: string(minimumInstances)
          maximum: string(maximumInstances)
          default: string(minimumInstances)
        }
        rules: [
          {
            metricTrigger: {
              metricName: 'CpuPercentage'
              metricResourceUri: plan.id
              timeGrain: 'PT1M'
              statistic: 'Average'
              timeWindow: 'PT5M'
              timeAggregation: 'Average'
              operator: 'GreaterThan'
              threshold: 70
            }
            scaleAction: {
              direction: 'Increase'
              type: 'ChangeCount'
              value: '1'
              cooldown: 'PT5M'
            }
          }
          {
            // Scaling in is slower and starts at a low load: the removed instance's sessions are lost.
            metricTrigger: {
              metricName: 'CpuPercentage'
              metricResourceUri: plan.id
              timeGrain: 'PT1M'
              statistic: 'Average'
              timeWindow: 'PT15M'
              timeAggregation: 'Average'
              operator: 'LessThan'
              threshold: 25
            }
            scaleAction: {
              direction: 'Decrease'
              type: 'ChangeCount'
              value: '1'
              cooldown: 'PT15M'
            }
          }
        ]
      }
    ]
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: app
  name: 'logs'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'AppServiceConsoleLogs'
        enabled: true
      }
      {
        category: 'AppServiceHTTPLogs'
        enabled: true
      }
      {
        category: 'AppServicePlatformLogs'
        enabled: true
      }
    ]
  }
}
