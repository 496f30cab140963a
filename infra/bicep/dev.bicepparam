{
  "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#",
  "contentVersion": "1.0.0.0",
  "parameters": {
    "environmentName": {
      "value": "dev"
    },
    "instanceMemoryMB": {
      "value": 2048
    },
    "maximumInstanceCount": {
      "value": 40
    },
    "alwaysReadyBlob": {
      "value": 1
    },
    "alwaysReadyHttp": {
      "value": 0
    },
    "uploadRetentionDays": {
      "value": 2
    },
    "storageSku": {
      "value": "Standard_LRS"
    },
    "webMinimumInstances": {
      "value": 1
    },
    "webMaximumInstances": {
      "value": 2
    },
    "alertEmail": {
      "value": ""
    },
    "monthlyBudget": {
      "value": 200
    },
    "logRetentionDays": {
      "value": 30
    },
    "logDailyCapGB": {
      "value": 1
    },
    "privateNetworking": {
      "value": false
    },
    "containerRegistry": {
      "value": false
    }
  }
}
