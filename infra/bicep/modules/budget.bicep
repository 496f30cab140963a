// The monthly budget of the resource group. Azure only sends alerts; it stops nothing.

@description('Which environment this is.')
param environmentName string

@description('Costs a month, in the subscription\'s currency.')
@minValue(1)
param amount int

@description('First of the month from which the budget counts. It can never be changed.')
param startDate string

@description('Resource id of the action group that is notified.')
param actionGroupId string

resource budget 'Microsoft.Consumption/budgets@2026-06-01' = {
  name: 'budget-tonearm-${environmentName}'
  properties: {
    category: 'Cost'
    amount: amount
    timeGrain: 'Monthly'
    timePeriod: {
      startDate: startDate
    }
    notifications: {
      forecast: {
        enabled: true
        thresholdType: 'Forecasted'
        operator: 'GreaterThan'
        threshold: 100
        contactEmails: []
        contactGroups: [
          actionGroupId
        ]
        contactRoles: [
          'Owner'
        ]
      }
      mostSpent: {
        enabled: true
        thresholdType: 'Actual'
        operator: 'GreaterThan'
        threshold: 80
        contactEmails: []
        contactGroups: [
          actionGroupId
        ]
        contactRoles: [
          'Owner'
        ]
      }
    }
  }
}
