// The web page: Streamlit on App Service, with a slot where a new version starts before it is swapped in.

@description('Name of the app.')
@minLength(2)
@maxLength(60)
param appName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the app\'s identity.')
param identityId string

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
param hostNames array

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

var pythonVersion = 'PYTHON|3.13'

// Nothing is installed at the start: the package brings its dependencies.
var startCommand = 'python -m streamlit run frontend/app.py --server.port 8000 --server.address 0.0.0.0 --server.headless true'

// The settings of the slot staging. Once something is live, production gets them by a swap alone, with the code that they
// belong to, and a swap back restores them: https://learn.microsoft.com/azure/app-service/deploy-staging-slots
var settings = {
  TONEARM_API_URL: apiUrl
  TONEARM_API_KEY: '@Microsoft.KeyVault(SecretUri=${apiKeySecretUri})'
  TONEARM_RESULT_WAIT_S: string(resultWaitS)
  TONEARM_ALLOWED_HOSTS: join(concat([
    app.properties.defaultHostName
    staging.properties.defaultHostName
  ], hostNames), ',')
  PYTHONPATH: '/home/site/wwwroot/.python_packages/lib/site-packages'
  SCM_DO_BUILD_DURING_DEPLOYMENT: 'false'
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  // checkov:skip=CKV_AZURE_225:The page keeps nothing and is back within minutes; a plan cannot be made zone-redundant later, so whoever wants it sets it before the first deployment
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

resource app 'Microsoft.Web/sites@2025-03-01' = {
  // checkov:skip=CKV_AZURE_17:The page is for browsers, which have no certificates
  // checkov:skip=CKV_AZURE_212:The autoscale setting below counts instances, from the parameter webMinimumInstances
  // checkov:skip=CKV_AZURE_222:The page is for the public
  name: appName
  location: location
  tags: tags
  kind: 'app,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    // A session lives in one instance's memory.
    clientAffinityEnabled: true
    keyVaultReferenceIdentity: identityId
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      // Otherwise the vault would be read over the public network, where a private vault does not answer.
      vnetRouteAllEnabled: !empty(subnetId)
      // null leaves a property as it is.
      linuxFxVersion: nothingLive ? pythonVersion : null
      appCommandLine: nothingLive ? startCommand : null
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
}

resource appSettings 'Microsoft.Web/sites/config@2025-03-01' = if (nothingLive) {
  // checkov:skip=CKV_AZURE_13:The page is for the public
  // checkov:skip=CKV_AZURE_63:These are app settings; the app has HTTP logging on
  // checkov:skip=CKV_AZURE_65:These are app settings; the app has detailed errors on
  // checkov:skip=CKV_AZURE_66:Failed request tracing is of Windows; the app runs on Linux
  // checkov:skip=CKV_AZURE_80:No .NET; the app runs on Python
  // checkov:skip=CKV_AZURE_88:Nothing is kept in files
  // checkov:skip=CKV_AZURE_222:The app settings have no such property; the app has it
  parent: app
  name: 'appsettings'
  properties: settings
}

resource appScmPasswords 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

resource appFtpPasswords 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource staging 'Microsoft.Web/sites/slots@2025-03-01' = {
  // checkov:skip=CKV_AZURE_212:The slot runs on the plan's instances, as many as the app
  // checkov:skip=CKV_AZURE_222:The slot is asked by the smoke test before each swap
  parent: app
  name: 'staging'
  location: location
  tags: tags
  kind: 'app,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: true
    keyVaultReferenceIdentity: identityId
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      vnetRouteAllEnabled: !empty(subnetId)
      linuxFxVersion: pythonVersion
      appCommandLine: startCommand
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
}

resource stagingSettings 'Microsoft.Web/sites/slots/config@2025-03-01' = {
  parent: staging
  name: 'appsettings'
  properties: settings
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

@description('Name of the app.')
output appName string = app.name

@description('Address of the page.')
output appUrl string = 'https://${app.properties.defaultHostName}'

@description('Address of the staging slot.')
output stagingUrl string = 'https://${staging.properties.defaultHostName}'
