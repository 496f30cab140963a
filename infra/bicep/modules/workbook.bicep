// A page of charts in the portal: requests, durations and failures.
import { resourceTags } from 'shared.bicep'

@description('Which environment this is.')
param environmentName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags resourceTags

@description('Resource id of the Log Analytics workspace that the charts ask.')
param workspaceId string

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'tonearm')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Tonearm ${environmentName}'
    category: 'workbook'
    version: 'Notebook/1.0'
    sourceId: workspaceId
    serializedData: replace(loadTextContent('workbook.json'), 'WORKSPACE_ID', workspaceId)
  }
}
