// Whether visitors of the page sign in with Entra ID. App Service does not swap this, so a release sets the slot's alone.
// For the live page it is deployed by hand: docs/deploy.md, "Sign-in".

@description('Name of the web app.')
param appName string

@description('Whether this is for the live page, and not for the slot staging.')
param production bool = true

@description('Whether visitors sign in.')
param signIn bool

@description('The app registration by which they do.')
param clientId string

@description('The tenant whose people may sign in.')
param tenantId string = tenant().tenantId

@export()
@description('App setting with the client id of the identity that stands in for a client secret.')
var assertionSetting = 'OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID'

var authentication = {
  platform: {
    enabled: signIn
  }
  globalValidation: {
    requireAuthentication: signIn
    unauthenticatedClientAction: signIn ? 'RedirectToLoginPage' : 'AllowAnonymous'
    redirectToProvider: 'azureactivedirectory'
    // It says "ok" and nothing else. The deployment and the availability test ask it.
    excludedPaths: [
      '/_stcore/health'
    ]
  }
  httpSettings: {
    requireHttps: true
  }
  identityProviders: {
    azureActiveDirectory: {
      enabled: signIn
      registration: {
        openIdIssuer: '${environment().authentication.loginEndpoint}${tenantId}/v2.0'
        clientId: clientId
        clientSecretSettingName: assertionSetting
      }
      validation: {
        allowedAudiences: [
          clientId
        ]
      }
    }
  }
  login: {
    // The page needs to know who asks, and asks nobody else in their name.
    tokenStore: {
      enabled: false
    }
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  name: appName

  resource staging 'slots' existing = {
    name: 'staging'
  }
}

resource appAuthentication 'Microsoft.Web/sites/config@2025-03-01' = if (production) {
  parent: app
  name: 'authsettingsV2'
  properties: authentication
}

resource stagingAuthentication 'Microsoft.Web/sites/slots/config@2025-03-01' = if (!production) {
  parent: app::staging
  name: 'authsettingsV2'
  properties: authentication
}
