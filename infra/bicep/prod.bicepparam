{
  "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#",
  "contentVersion": "1.0.0.0",
  "parameters": {
    "environmentName": {
      "value": "prod"
    },
    "instanceMemoryMB": {
      "value": 2048
    },
    "maximumInstanceCount": {
      "value": 100
    },
    "alwaysReadyBlob": {
      "value": 1
    },
    "alwaysReadyHttp": {
      "value": 1
    },
    "uploadRetentionDays": {
      "value": 7
    },
    "storageSku": {
      "value": "Standard_ZRS"
    },
    "webMinimumInstances": {
      "value": 2
    },
    "webMaximumInstances": {
      "value": 6
    },
    "alertEmail": {
      "value": ""
    },
    "monthlyBudget": {
      "value": 500
    },
    "logRetentionDays": {
      "value": 90
    },
    "logDailyCapGB": {
      "value": 5
    },
    "privateNetworking": {
      "value": false
    },
    "containerRegistry": {
      "value": false
    }
  }
}
